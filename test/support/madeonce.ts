/**
 * What several test files need, and what takes long to make. In a run of `npm test` the first file makes it, and the others wait for it.
 * A file that runs alone makes its own.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Scope } from './scope.ts'
import { eventually } from './wait.ts'

/** The name under which test/run.ts passes the folder that its test files share. */
export const sharedVariable = 'STREAMPIPELINE_SHARED'

/** Returns the folder that `make` filled; nobody may write into it afterwards. */
export async function madeOnce(scope: Scope, name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const shared = process.env[sharedVariable]
  if (shared === undefined) {
    const folder = await mkdtemp(join(tmpdir(), `streampipeline-${name}-`))
    scope.after(() => rm(folder, { recursive: true, force: true }))
    await make(folder)
    return folder
  }
  const folder = join(shared, name)
  const [done, failed] = [`${folder}.done`, `${folder}.failed`]
  await mkdir(shared, { recursive: true })
  if (!(await isFirst(folder))) {
    await eventually(() => existsSync(done) || existsSync(failed), { timeoutMs: 300_000, intervalMs: 200 })
    if (existsSync(failed)) throw new Error(`another test file could not make ${name}`)
    return folder
  }
  try {
    await make(folder)
  } catch (thrown) {
    await writeFile(failed, '')
    throw thrown
  }
  await writeFile(done, '')
  return folder
}

async function isFirst(folder: string): Promise<boolean> {
  try {
    await mkdir(folder)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw thrown
  }
}
