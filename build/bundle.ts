/**
 * Bundles the images' programs. Each is one file, so that only used code is shipped, read and compiled at start. Beside it stands
 * its bill of materials. `node build/bundle.ts [FOLDER]`; `npm run images` calls it.
 */
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type BuildOptions, build, type Metafile, stop } from 'esbuild'
import { billOfMaterials } from './billofmaterials.ts'
import { root } from './root.ts'
import { asciiOnly, queueOnly, slim } from './slim.ts'
import { type ImageName, imageNames } from './v8flags.ts'

/** By the name of the file that is written. The operator's others are those of operator/wall/program.ts. */
const programsOf: Readonly<Record<ImageName, Readonly<Record<string, string>>>> = {
  operator: {
    operator: 'cli/images/operator.ts',
    looks: 'operator/wall/looks/program.ts',
    judge: 'operator/wall/judge/program.ts',
  },
  consumer: { consumer: 'cli/images/consumer.ts' },
}

export const bundleFolder = join(root, '.cache', 'images')

/** BullMQ and others `require` at run time, which an ES module lacks. */
const banner = "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);"

interface Bundle {
  readonly name: ImageName
  readonly folder: string
  readonly bytes: number
}

/** @returns the files written: `FOLDER/NAME/bin/NAME.mjs`, `FOLDER/NAME/package.json`, `FOLDER/NAME/sbom.cdx.json` */
export async function bundleAll(folder: string = bundleFolder): Promise<readonly Bundle[]> {
  try {
    return await Promise.all(imageNames.map(async (name) => await bundle(name, join(folder, name))))
  } finally {
    // Without this call, esbuild's service process would live on.
    await stop()
  }
}

/** How the programs of an image are bundled into a folder. */
export const bundleOptions = (name: ImageName, outdir: string): BuildOptions => ({
  absWorkingDir: root,
  entryPoints: programsOf[name],
  bundle: true,
  // Modules of several programs of an image stand once, beside them.
  splitting: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  outdir,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'chunk-[hash]',
  banner: { js: banner },
  plugins: [queueOnly, slim],
  // Native helpers that are optional: msgpackr works without, and an image for any platform cannot hold one.
  external: ['msgpackr-extract'],
  // Whitespace and dead code only: stack traces keep their names.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'external',
  logLevel: 'error',
})

async function bundle(name: ImageName, folder: string): Promise<Bundle> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(join(folder, 'bin'), { recursive: true })
  const { metafile } = await build({ ...bundleOptions(name, join(folder, 'bin')), metafile: true })
  for (const output of Object.keys(metafile.outputs).filter((path) => path.endsWith('.mjs'))) {
    const program = join(root, output)
    await writeFile(program, asciiOnly(await readFile(program, 'utf8')))
  }
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string; license: string }
  const { version, license } = manifest
  await writeFile(
    join(folder, 'package.json'),
    `${JSON.stringify({ name: 'streampipeline', version, license, type: 'module' })}\n`,
  )
  const bill = await billOfMaterials({ root, image: name, version, inputs: bundledInputs(metafile) })
  await writeFile(join(folder, 'sbom.cdx.json'), `${JSON.stringify(bill, undefined, 2)}\n`)
  await settleModes(folder)
  const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0)
  return { name, folder, bytes }
}

/** Files of which something stands in the bundle: esbuild reads others too, and finds that nothing of them is used. */
const bundledInputs = ({ outputs }: Metafile): readonly string[] =>
  Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs)
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([path]) => path),
  )

/** An image copies the modes of files, which the umask of the builder would decide. */
async function settleModes(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644)
  await chmod(folder, 0o755)
}

if (import.meta.main) {
  const folder = process.argv[2]
  for (const { name, folder: written, bytes } of await bundleAll(folder === undefined ? undefined : resolve(folder))) {
    console.log(`${name}: ${(bytes / 1024).toFixed(0)} KiB in ${written}`)
  }
}
