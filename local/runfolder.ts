/**
 * The folder of one run: what its consumers and its private Redis need on disk, gone with the run. A record in it says whose it is,
 * so that the next run can tell a folder that a killed run has left from one in use (leavings.ts).
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
