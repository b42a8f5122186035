/**
 * Puts the bundles of dependencybundles.ts in the place of the packages. Only imports of the project's own modules
 * go there. A `require.resolve` still finds the package.
 */
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

/** The variable holds JSON: specifier → path of the module. */
export const bundlesVariable = 'STREAMPIPELINE_DEPENDENCY_BUNDLES'

const given = process.env[bundlesVariable]
if (given !== undefined) {
  const urls = new Map(
    Object.entries(JSON.parse(given) as Record<string, string>).map(([name, path]) => [name, pathToFileURL(path).href]),
  )
  registerHooks({
    resolve(specifier, context, next) {
      const url = urls.get(specifier)
      if (url === undefined || !context.conditions.includes('import')) return next(specifier, context)
      if (context.parentURL?.includes('/node_modules/') === true) return next(specifier, context)
      return { url, format: 'module', shortCircuit: true }
    },
  })
}
