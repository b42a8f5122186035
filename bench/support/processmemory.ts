/** Memory of another process, as Linux counts it. */
import { readFile } from 'node:fs/promises'

/** Peak resident set (`VmHWM`) in bytes; undefined where /proc does not tell. */
export async function peakResidentBytes(pid: number): Promise<number | undefined> {
  try {
    const kib = /^VmHWM:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kib === undefined ? undefined : Number(kib) * 1024
  } catch {
    // Another system, or the process has just ended.
    return undefined
  }
}
