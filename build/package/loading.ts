/**
 * The sources load some modules at their first use, by a `require` of their own, which a bundler cannot follow. In a bundle, the
 * bundle's `require` replaces it. That `require` evaluates the module at that moment, from the same file.
 */
import { readFileSync } from 'node:fs'
import type { Plugin } from 'esbuild'

const declaration = /^const load = createRequire\(import\.meta\.url\)$/m
const call = /\bload\('/g

export const loading: Plugin = {
  name: 'loading',
  setup(build) {
    build.onLoad({ filter: /[\\/](client|client[\\/]testing|api[\\/]jsonschema)[\\/][a-z]+\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      if (!declaration.test(source)) return undefined
      const contents = source.replace(declaration, '').replaceAll(call, "require('")
      return { contents: path.endsWith('library.ts') ? withoutHooks(contents) : contents, loader: 'ts' }
    })
  },
}

/**
 * Packages that the application has too. A bundler would leave an `import` of them at the top of its file, where it is evaluated with the
 * file. Each of them is CommonJS, so that `require` yields the copy that an `import` elsewhere has.
 */
const shared: readonly string[] = ['bullmq', 'ioredis', 'prom-client']

export const sharing: Plugin = {
  name: 'sharing',
  setup(build) {
    build.onResolve({ filter: new RegExp(`^(?:${shared.join('|')})$`) }, ({ path, kind }) =>
      kind === 'require-call' ? { path, external: true } : { path, namespace: 'shared' },
    )
    build.onLoad({ filter: /.*/, namespace: 'shared' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)})`,
      loader: 'js',
    }))
  },
}

/**
 * zod keeps settings and descriptions in globals, for all its copies in a process. The application's zod is another one: what it sets there is
 * not for the resource's schema, and the library adds nothing global.
 */
export const aside: Plugin = {
  name: 'aside',
  setup(build) {
    build.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]core[\\/](core|registries)\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      if (!source.includes('globalThis')) throw new Error(`${path} has another form`)
      return { contents: `const ownGlobals = {}\n${source.replaceAll('globalThis', 'ownGlobals')}`, loader: 'js' }
    })
  },
}

/**
 * Takes `registerHooks` out of api/jsonschema/library.ts. The bundle has no import that its hook would answer, and Node 20 has no
 * hooks.
 */
function withoutHooks(source: string): string {
  const changed = source.replace(/^ {2}const hooks = registerHooks\(\{[\s\S]*?^ {2}\}\)$/m, '').replace('hooks.deregister()', '')
  if (!changed.includes("require('@hyperjump/") || /\bhooks\b/.test(changed.replace(/\/\*[\s\S]*?\*\//g, '')))
    throw new Error('api/jsonschema/library.ts has another form')
  return changed
}
