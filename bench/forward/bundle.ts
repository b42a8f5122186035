/**
 * The command line as the consumer's image holds it: one bundle, without the TypeScript loader. Made from the sources as they are
 * when the bench starts, so that what changes meanwhile is not measured.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { projectRoot } from '../../test/support/root.ts'
import type { Scope } from '../../test/support/scope.ts'

/** BullMQ and others `require` at run time, which an ES module lacks. */
const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"

/** @returns path of the program; its folder goes with the scope */
export async function bundleCommandLine(scope: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-bench-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  await build({
    absWorkingDir: projectRoot,
    entryPoints: ['cli/main.ts'],
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    banner: { js: banner },
    logLevel: 'error',
  })
  return join(folder, 'main.mjs')
}
