/**
 * Modules that the bundles omit, or load later, for less memory at rest.
 *
 * - Unused modules are omitted: the models of every Kubernetes API, client-node's own connections, all of undici but pools, and
 *   zod's
 *   messages in fifty languages. Of client-node only its reading of kubeconfigs and tokens is used.
 * - Node's own modules are loaded by function. An `import` evaluates every property that a module exports: `node:http` then loads
 *   Node's
 *   WebSocket with a whole copy of undici, and `node:tls` parses the root certificates.
 * - The exact validator is in the bundle, and is evaluated when a schema first needs it, as in the sources.
 */
import { readFileSync } from 'node:fs'
import { builtinModules, createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Plugin } from 'esbuild'

const leftOut = 'left-out'
const builtin = 'builtin'
const parts = 'parts'

const contents: Readonly<Record<string, string>> = {
  models: `export class ServerConfiguration {}
export function createConfiguration() { throw new Error('clients of single APIs are left out of this bundle') }`,
  locales: 'export {}',
  undici: 'export class Agent {}\nexport class ProxyAgent {}',
  socks: 'export class SocksClient {}',
  'socks-proxy-agent': 'export class SocksProxyAgent {}',
  hpagent: 'export class HttpProxyAgent {}\nexport class HttpsProxyAgent {}',
}

/** In place of client-node's connections: the operator's transport opens its own. */
const clientNodeConnections = ['undici', 'socks', 'socks-proxy-agent', 'hpagent']

export const slim: Plugin = {
  name: 'slim',
  setup(build) {
    const out = (path: string) => ({ path, namespace: leftOut })
    build.onResolve({ filter: /^@kubernetes\/client-node$/ }, ({ resolveDir }) => {
      const main = createRequire(join(resolveDir, 'x.js')).resolve('@kubernetes/client-node')
      return { path: join(dirname(main), 'config.js') }
    })
    build.onResolve({ filter: /\/gen\/index\.js$/ }, ({ importer }) =>
      importer.endsWith('client-node/dist/config.js') ? out('models') : undefined,
    )
    build.onResolve({ filter: /\/locales\/index\.js$/ }, ({ importer }) =>
      packageOf(importer) === 'zod' ? out('locales') : undefined,
    )
    build.onResolve({ filter: /^[a-z-]+$/ }, ({ path, importer, resolveDir, namespace }) => {
      if (clientNodeConnections.includes(path) && packageOf(importer) === '@kubernetes/client-node') return out(path)
      if (path === 'undici' && namespace !== parts) return { path, namespace: parts, pluginData: resolveDir }
      return undefined
    })
    build.onLoad({ filter: /.*/, namespace: leftOut }, ({ path }) => ({ contents: contents[path] ?? '', loader: 'js' }))
    build.onLoad({ filter: /.*/, namespace: parts }, ({ pluginData }) => ({
      contents: `export { default as Pool } from 'undici/lib/dispatcher/pool.js'
export { default as buildConnector } from 'undici/lib/core/connect.js'
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js'
import request from 'undici/lib/api/api-request.js'
Dispatcher.prototype.request = request`,
      resolveDir: pluginData as string,
      loader: 'js',
    }))

    build.onLoad({ filter: /[\\/]api[\\/]jsonschema[\\/]library\.ts$/ }, ({ path }) => ({
      contents: bundledRequire(readFileSync(path, 'utf8')),
      loader: 'ts',
    }))

    build.onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path, kind }) => {
      const bare = path.replace(/^node:/, '')
      return kind === 'import-statement' && builtinModules.includes(bare)
        ? { path: `node:${bare}`, namespace: builtin }
        : undefined
    })
    build.onLoad({ filter: /.*/, namespace: builtin }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)})`,
      loader: 'js',
    }))
  },
}

/** Modules that the sources load by their own `require`, which a bundler cannot follow. */
function bundledRequire(source: string): string {
  const bundled = source
    .replace('createRequire, ', '')
    .replace(/^const load = .*$/m, '')
    .replaceAll(/\bload\('/g, "require('")
  if (bundled === source || !bundled.includes("require('@hyperjump/"))
    throw new Error('api/jsonschema/library.ts has another form')
  return bundled
}

function packageOf(file: string): string | undefined {
  return /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/.exec(file)?.[1]?.replace('\\', '/')
}

/**
 * One letter outside ASCII makes Node keep a whole source at two bytes per letter, and esbuild leaves those in regular
 * expressions.
 */
export function asciiOnly(code: string): string {
  return code.replace(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
