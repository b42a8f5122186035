/**
 * Modules that the bundles omit, or load later, for less memory at rest.
 *
 * - Unused modules are omitted: the models of every Kubernetes API, client-node's own connections, all of undici but pools, and
 *   zod's
 *   messages in fifty languages. Of client-node only its reading of kubeconfigs and tokens is used.
 * - Node's own modules are loaded by a call of `process.getBuiltinModule`, in place of an `import`. An `import` evaluates every property
 *   that a module exports: `node:http` then loads Node's WebSocket with a whole copy of undici, and `node:tls` parses the root
 *   certificates.
 * - Node's modules that most processes never use are loaded at the first use of one of their functions: TLS, child processes, and others.
 *   Loading them all took 8 MiB.
 * - Of BullMQ's Lua scripts the consumer's bundle has those that a queue needs. A worker's would be another megabyte.
 * - The exact validator is in the bundle, and is evaluated when a schema first needs it, as in the sources.
 */
import { readFileSync } from 'node:fs'
import { builtinModules, createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Plugin, PluginBuild } from 'esbuild'

/** Loaded when one of their functions is first used. */
const builtinsOnUse = ['child_process', 'cluster', 'https', 'tls']

/**
 * BullMQ's commands that a `Queue` of the consumer sends, or that its scripts are made of. A connection defines all that the package has.
 * test/scenarios/image/bullmqcommands.test.ts holds that these suffice.
 */
export const bullmqScripts = [
  'addDelayedJob-6',
  'addPrioritizedJob-9',
  'addStandardJob-9',
  'getState-8',
  'getStateV2-8',
  'removeJob-2',
  'removeChildDependency-1',
] as const

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

/** The part of a package in a bundle, in place of all its exports. */
const partsOf: Readonly<Record<string, string>> = {
  bullmq: `export { Job } from 'bullmq/dist/esm/classes/job.js'
export { Queue } from 'bullmq/dist/esm/classes/queue.js'`,
  bullmqScripts: bullmqScripts.map((name) => `export * from 'bullmq/dist/esm/scripts/${name}.js'`).join('\n'),
  undici: `export { default as Pool } from 'undici/lib/dispatcher/pool.js'
export { default as buildConnector } from 'undici/lib/core/connect.js'
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js'
import request from 'undici/lib/api/api-request.js'
Dispatcher.prototype.request = request`,
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
    loadParts(build)

    build.onLoad({ filter: /[\\/]api[\\/]jsonschema[\\/]library\.ts$/ }, ({ path }) => ({
      contents: bundledRequire(readFileSync(path, 'utf8')),
      loader: 'ts',
    }))

    build.onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path, kind }) => {
      const bare = path.replace(/^node:/, '')
      if (!builtinModules.includes(bare)) return undefined
      return kind === 'import-statement' || builtinsOnUse.includes(bare) ? { path: bare, namespace: builtin } : undefined
    })
    build.onLoad({ filter: /.*/, namespace: builtin }, ({ path }) => ({
      contents: builtinsOnUse.includes(path) ? loadedOnUse(path) : `module.exports = ${loading(path)}`,
      loader: 'js',
    }))
  },
}

/** For programs that only add jobs. The command line also starts workers, and has all of BullMQ. */
export const queueOnly: Plugin = {
  name: 'queue-only',
  setup(build) {
    build.onResolve({ filter: /^bullmq$/ }, ({ path, resolveDir }) => ({ path, namespace: parts, pluginData: resolveDir }))
    build.onResolve({ filter: /^\.\.\/scripts$/ }, ({ importer, resolveDir }) =>
      packageOf(importer) === 'bullmq' ? { path: 'bullmqScripts', namespace: parts, pluginData: resolveDir } : undefined,
    )
    loadParts(build)
  },
}

function loadParts(build: PluginBuild): void {
  build.onLoad({ filter: /.*/, namespace: parts }, ({ path, pluginData }) => ({
    contents: partsOf[path] ?? '',
    resolveDir: pluginData as string,
    loader: 'js',
  }))
}

const loading = (builtinModule: string) => `process.getBuiltinModule('node:${builtinModule}')`

/** An object with a getter for each export, which loads the module. Its names are those of the Node that bundles. */
function loadedOnUse(builtinModule: string): string {
  const names = Object.keys(process.getBuiltinModule(`node:${builtinModule}`) ?? {})
  return `const on = (name) => [name, { enumerable: true, get: () => ${loading(builtinModule)}[name] }]
module.exports = Object.defineProperties({}, Object.fromEntries(${JSON.stringify(names)}.map(on)))`
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
