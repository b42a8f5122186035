/**
 * Processes and folders of earlier runs that were killed. The guard (guard.ts) ends the processes. If it was killed as well, they
 * are found here, by the name of their run in their environment.
 *
 * Other users' property is not touched. A folder must be this user's and hold a record, and the record's process must be gone
 * from this host, boot and namespace. If that is unknown, the folder stays.
 */
import { lstat, readdir, readFile, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { ownerVariable } from '../consumer/identity.ts'
import { stateOf } from './processmark.ts'
import { type RunRecord, recordName, removeRunFolder, runFolderPrefix } from './runfolder.ts'

interface Leavings {
  /** Runs that ended without cleaning up, as the registry of consumers names them. */
  readonly owners: readonly string[]
  readonly folders: number
  /** Processes that were still running, and were ended. */
  readonly processes: number
}

const recordSchema = z.object({
  version: z.literal(1),
  owner: z.string().min(1),
  process: z.object({ pid: z.number(), started: z.string(), space: z.string() }),
})

const endedWithinMs = 2_000
/** A run writes the record right after it creates its folder. An older empty folder is of a run that was killed in between. */
const emptyForMs = 60_000

/** @param parent where run folders lie */
export async function cleanLeavings(parent: string = tmpdir()): Promise<Leavings> {
  const names = await readdir(parent).catch(() => [])
  const dead: { folder: string; owner: string }[] = []
  for (const name of names.filter((each) => each.startsWith(runFolderPrefix))) {
    const folder = join(parent, name)
    if (!(await isOurs(folder))) continue
    const record = await readRecord(folder)
    if (record === undefined) await removeIfForgotten(folder)
    else if ((await stateOf(record.process)) === 'Gone') dead.push({ folder, owner: record.owner })
  }
  const owners = [...new Set(dead.map(({ owner }) => owner))]
  const processes = await endProcessesOf(owners)
  for (const { folder } of dead) await removeRunFolder(folder)
  return { owners, folders: dead.length, processes }
}

async function isOurs(folder: string): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined)
  return found?.isDirectory() === true && found.uid === process.getuid?.()
}

async function readRecord(folder: string): Promise<RunRecord | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(join(folder, recordName), 'utf8')))
  } catch {
    return undefined // no record, or another version's: unknown
  }
}

async function removeIfForgotten(folder: string): Promise<void> {
  const found = await lstat(folder).catch(() => undefined)
  if (found === undefined || Date.now() - found.mtimeMs < emptyForMs) return
  // Removes it only if it is empty.
  await rmdir(folder).catch(() => undefined)
}

/** @returns how many there were */
async function endProcessesOf(owners: readonly string[]): Promise<number> {
  if (owners.length === 0) return 0
  const settings = new Set(owners.map((owner) => `${ownerVariable}=${owner}`))
  const found = new Set<number>()
  const deadline = performance.now() + endedWithinMs
  for (;;) {
    const running = await processesWith(settings)
    for (const pid of running) {
      found.add(pid)
      kill(pid)
    }
    if (running.length === 0 || performance.now() > deadline) return found.size
    await sleep(20)
  }
}

/** Processes of this user with one of these settings in their environment. Linux only: elsewhere none is found. */
async function processesWith(settings: ReadonlySet<string>): Promise<number[]> {
  const folders = await readdir('/proc').catch(() => [])
  const pids = folders.filter((folder) => /^\d+$/.test(folder)).map(Number)
  const having = await Promise.all(pids.map((pid) => hasOne(pid, settings)))
  return pids.filter((pid, index) => having[index] === true && pid !== process.pid)
}

async function hasOne(pid: number, settings: ReadonlySet<string>): Promise<boolean> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1')
    return environment.split('\0').some((setting) => settings.has(setting))
  } catch {
    return false // ended meanwhile, or another user's
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Ended meanwhile.
  }
}
