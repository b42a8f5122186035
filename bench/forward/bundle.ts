/** The consumer's program as its image holds it, made from the sources as they are when the bench starts. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundleAll } from '../../build/bundle.ts'
import type { Scope } from '../../test/support/scope.ts'

/** @returns path of the program; its folder goes with the scope */
export async function bundleConsumer(scope: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-bench-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  await bundleAll(folder)
  return join(folder, 'consumer', 'bin', 'consumer.mjs')
}
