/** CPU time of another process, as Linux counts it. */
import { readFile } from 'node:fs/promises'

/** Ticks per second of all times in /proc, whatever the kernel's own clock is (USER_HZ). */
const ticksPerSecond = 100

/** Microseconds of all its threads, user and system, exact to 10,000. */
export async function processCpuMicroseconds(pid: number): Promise<number> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name of the program comes before, in brackets, and may hold anything; utime and stime are fields 14 and 15.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / ticksPerSecond
}
