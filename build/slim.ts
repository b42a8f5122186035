/**
 * Leaves out of the bundles what is loaded and never used, a quarter of the operator's: the models of every Kubernetes API (of
 * client-node only its reading of kubeconfigs and tokens is used), and zod's messages in fifty languages.
 */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Plugin } from 'esbuild'

const namespace = 'left-out'
const contents: Readonly<Record<string, string>> = {
  models: `export class ServerConfiguration {}
export function createConfiguration() { throw new Error('clients of single APIs are left out of this bundle') }`,
  locales: 'export {}',
}

export const slim: Plugin = {
  name: 'slim',
  setup(build) {
    build.onResolve({ filter: /^@kubernetes\/client-node$/ }, ({ resolveDir }) => {
      const main = createRequire(join(resolveDir, 'x.js')).resolve('@kubernetes/client-node')
      return { path: join(dirname(main), 'config.js') }
    })
    build.onResolve({ filter: /\/gen\/index\.js$/ }, ({ importer }) =>
      importer.endsWith('client-node/dist/config.js') ? { path: 'models', namespace } : undefined,
    )
    build.onResolve({ filter: /\/locales\/index\.js$/ }, ({ importer }) =>
      /[\\/]node_modules[\\/]zod[\\/]/.test(importer) ? { path: 'locales', namespace } : undefined,
    )
    build.onLoad({ filter: /.*/, namespace }, ({ path }) => ({ contents: contents[path] ?? '', loader: 'js' }))
  },
}
