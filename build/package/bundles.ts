/**
 * The published code. Everything that it uses is bundled in, BullMQ, ioredis and prom-client aside, so that an application installs nothing
 * else, and loads one file.
 *
 *   dist/*.js            the library, ES modules; what `import` and Node's `require` take
 *   dist/*.cjs           the library for loaders that know only CommonJS, such as jest's; one file, so that each class is there once
 *   dist/cli/*.mjs       the command line with consumer and operator, in which BullMQ and ioredis are too, at the versions that it was made for
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BuildOptions, build, type Metafile } from 'esbuild'
import { root } from '../root.ts'
import { asciiOnly, slim } from '../slim.ts'
import { aside, loading, sharing } from './loading.ts'

/** Entry of the package → its source. */
export const libraryEntries = {
  index: 'client/index.ts',
  api: 'api/index.ts',
  testing: 'client/testing/index.ts',
} as const satisfies Record<string, string>

/** Threads and processes stand beside the program that starts them, under the names that it knows. */
const programs = {
  main: 'cli/main.ts',
  looks: 'operator/wall/looks/program.ts',
  judge: 'operator/wall/judge/program.ts',
  producer: 'local/demo/producer.ts',
  worker: 'local/demo/worker.ts',
  trialworker: 'scaling/simulate/trialworker.ts',
}

/** The oldest Node of `engines`. */
const target = 'node20.19'

/** BullMQ and others `require` at run time, which an ES module lacks. */
export const banner = "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);"

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target,
  // Dead code only: stack traces keep their names, and an uncaught error prints one line of the source.
  minifySyntax: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'error',
} as const satisfies BuildOptions

const modules = {
  ...common,
  format: 'esm',
  // Modules of several entries stand once, beside them.
  splitting: true,
  chunkNames: 'chunk-[hash]',
  banner: { js: banner },
  plugins: [loading, slim],
} as const satisfies BuildOptions

/** @returns the files of which something stands in the bundles, relative to the repository */
export async function bundlePackage(output: string): Promise<readonly string[]> {
  const results = await Promise.all([
    build({ ...modules, entryPoints: libraryEntries, plugins: [sharing, aside, loading, slim], outdir: output }),
    build({
      ...common,
      stdin: everything(),
      format: 'cjs',
      plugins: [sharing, aside, loading, slim],
      outfile: join(output, 'common.cjs'),
      supported: { 'dynamic-import': false },
    }),
    buildCommandLine(output),
  ])
  for (const { metafile } of results) await settle(metafile)
  for (const name of Object.keys(libraryEntries)) {
    await writeFile(join(output, `${name}.cjs`), `'use strict'\nmodule.exports = require('./common.cjs').${name}\n`)
  }
  return [...new Set(results.flatMap(({ metafile }) => inputsOf(metafile)))].toSorted()
}

/** The command line alone. */
export async function bundleCommandLine(output: string): Promise<void> {
  await settle((await buildCommandLine(output)).metafile)
}

const buildCommandLine = async (output: string) =>
  await build({
    ...modules,
    entryPoints: programs,
    // The command line reports its errors itself.
    minifyWhitespace: true,
    inject: [join(root, 'build', 'package', 'lacking.ts')],
    external: ['msgpackr-extract'],
    outdir: join(output, 'cli'),
    outExtension: { '.js': '.mjs' },
  })

/** One module with every entry by its name. */
const everything = () => ({
  contents: Object.entries(libraryEntries)
    .map(([name, source]) => `export * as ${name} from './${source}'`)
    .join('\n'),
  resolveDir: root,
})

async function settle({ outputs }: Metafile): Promise<void> {
  for (const path of Object.keys(outputs).filter((name) => /\.[cm]?js$/.test(name))) {
    const file = join(root, path)
    await writeFile(file, asciiOnly(await readFile(file, 'utf8')))
  }
}

const inputsOf = ({ outputs }: Metafile): readonly string[] =>
  Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs)
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([path]) => path),
  )
