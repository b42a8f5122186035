/**
 * Dependencies as one file each, for test files under `npm test`. A package of hundreds of modules costs each of 300 processes up to half a
 * second of processor time, and its bundle a twentieth. Of client-node the bundle holds the part that the operator's bundle holds. Each test
 * file preloads dependencyhooks.ts, which puts them in place.
 */
import { join } from 'node:path'
import { build } from 'esbuild'
import { banner } from '../../build/package/bundles.ts'
import { slim } from '../../build/slim.ts'
import { projectRoot } from './root.ts'

/** Packages of many modules, by the names under which the project imports them. None keeps a state that another package shares. */
const bundled = [
  '@kubernetes/client-node',
  'zod',
  'yaml',
  'ajv',
  'ajv/dist/2020.js',
  'ajv-formats',
  'prom-client',
  'cron-parser',
] as const

/** The names that the bundle of the operator holds. */
const partsOf: Readonly<Record<string, readonly string[]>> = {
  '@kubernetes/client-node': ['KubeConfig'],
}

/** @returns specifier → path of the module */
export async function bundleDependencies(folder: string): Promise<Readonly<Record<string, string>>> {
  const entries = await Promise.all(
    bundled.map(async (specifier, at) => ({ name: `d${at}`, specifier, names: await namesOf(specifier) })),
  )
  await build({
    absWorkingDir: projectRoot,
    entryPoints: Object.fromEntries(entries.map(({ name, specifier }) => [name, `dependency:${specifier}`])),
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: `node${process.versions.node}`,
    logLevel: 'error',
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    banner: { js: banner },
    plugins: [
      {
        name: 'dependency',
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^dependency:/ }, ({ path }) => ({
            path: path.replace('dependency:', ''),
            namespace: 'dependency',
          }))
          onLoad({ filter: /.*/, namespace: 'dependency' }, ({ path }) => ({
            contents: moduleOf(path, entries.find(({ specifier }) => specifier === path)?.names ?? []),
            resolveDir: projectRoot,
          }))
        },
      },
      slim,
    ],
  })
  return Object.fromEntries(entries.map(({ name, specifier }) => [specifier, join(folder, `${name}.mjs`)]))
}

async function namesOf(specifier: string): Promise<readonly string[]> {
  return partsOf[specifier] ?? Object.keys((await import(specifier)) as object)
}

/** A CommonJS package has its names in an object, which esbuild exports only as the default. */
function moduleOf(specifier: string, names: readonly string[]): string {
  const named = names.filter((name) => name !== 'default' && name !== 'module.exports').map((name) => JSON.stringify(name))
  const lines = [
    `import { ${named.map((name, at) => `${name} as n${at}`).join(', ')} } from '${specifier}'`,
    `export { ${named.map((name, at) => `n${at} as ${name}`).join(', ')} }`,
  ]
  if (names.includes('default')) lines.push(`import all from '${specifier}'`, 'export default all')
  return lines.join('\n')
}
