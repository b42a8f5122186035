/**
 * Identifies a process for good, although its number may be given to another one: by its start, and by the space of its number.
 * In another container that shares a folder with this one, or on another host, a number has no meaning.
 */
import { execFile } from 'node:child_process'
import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { promisify } from 'node:util'

export interface ProcessMark {
  readonly pid: number
  /** When it started, as the system writes it. */
  readonly started: string
  /** The space of its number: host, boot, and namespace of process numbers. */
  readonly space: string
}

const execute = promisify(execFile)
const linux = process.platform === 'linux'

export async function markOf(pid: number): Promise<ProcessMark | undefined> {
  const started = await startOf(pid)
  return started === undefined ? undefined : { pid, started, space: await ownSpace() }
}

/** Unknown: a process of another space, which cannot be seen from here. */
export async function stateOf(mark: ProcessMark): Promise<'Running' | 'Gone' | 'Unknown'> {
  if (mark.space !== (await ownSpace())) return 'Unknown'
  return (await startOf(mark.pid)) === mark.started ? 'Running' : 'Gone'
}

async function ownSpace(): Promise<string> {
  if (!linux) return hostname()
  const [boot, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(unknown),
    readlink('/proc/self/ns/pid').catch(unknown),
  ])
  return [hostname(), boot.trim(), namespace].join(' ')
}

/** A system without these files has one space. */
const unknown = () => ''

/** Undefined when there is no such process; a zombie has ended. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    if (!linux) return (await execute('ps', ['-o', 'lstart=', '-p', String(pid)])).stdout.trim() || undefined
    const text = await readFile(`/proc/${pid}/stat`, 'latin1')
    // The command's name is in parentheses and may hold any character: fields are counted after the last parenthesis.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined // no such process
  }
}
