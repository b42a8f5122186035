/** Puts the bundles of dependencybundles.ts in the place of the packages. The project's own imports alone go there. */
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
      if (url === undefined || context.parentURL?.includes('/node_modules/') === true) return next(specifier, context)
      return { url, format: 'module', shortCircuit: true }
    },
  })
}
