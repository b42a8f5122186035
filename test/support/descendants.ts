import { readdir, readFile } from 'node:fs/promises'

export interface MarkedProcess {
  readonly pid: number
  readonly command: string
}

/**
 * The processes that were started with `NAME=mark` in their environment, whatever their parent is now. Children inherit the
 * variable, so these are the descendants of the process that set it. That process itself set it after its start, so it is not
 * among them. Linux only (elsewhere none is found), and only processes of this user.
 */
export const markedProcesses = async (name: string, mark: string): Promise<MarkedProcess[]> => {
  const folders = await readdir('/proc').catch(() => [])
  const found = await Promise.all(folders.filter((folder) => /^\d+$/.test(folder)).map((pid) => inspect(pid, `${name}=${mark}`)))
  return found.filter((process) => process !== undefined)
}

const inspect = async (pid: string, setting: string): Promise<MarkedProcess | undefined> => {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1')
    if (!environment.split('\0').includes(setting)) return undefined
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').join(' ').trim()
    // A zombie has an empty command line: it has ended, and its parent is about to learn it.
    return command === '' ? undefined : { pid: Number(pid), command }
  } catch {
    // Ended meanwhile, or another user's.
    return undefined
  }
}

export const endProcesses = (processes: readonly MarkedProcess[]): void => {
  for (const { pid } of processes) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // Ended meanwhile.
    }
  }
}
