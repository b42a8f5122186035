/**
 * The folder of one run: files of its consumers and of its private Redis, deleted with the run. A record in it names the run, so
 * that the next run can distinguish the folder of a killed run from one in use (leavings.ts).
 */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { markOf, type ProcessMark } from './processmark.ts'

export const runFolderPrefix = 'streampipeline-up-'
export const recordName = 'run.json'

export interface RunRecord {
  readonly version: 1
  /** As its processes' environment and the registry of consumers name it. */
  readonly owner: string
  readonly process: ProcessMark
}

/** Makes it, for this user alone. @returns its path */
export async function createRunFolder(owner: string, parent: string = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, runFolderPrefix))
  await chmod(folder, 0o700)
  const mark = await markOf(process.pid)
  if (mark !== undefined) {
    const record: RunRecord = { version: 1, owner, process: mark }
    await writeFile(join(folder, recordName), JSON.stringify(record), { mode: 0o600 })
  }
  return folder
}

export async function removeRunFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
}
