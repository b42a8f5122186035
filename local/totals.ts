/** What all consumers have done together, those gone included: a sum over the last heartbeat seen of each process. */
import type { Sample } from '../scaling/sample.ts'

export interface Totals {
  readonly forwarded: number
  readonly duplicates: number
  readonly dead: number
}

export type Tally = ReadonlyMap<string, Totals>

/** @param ours tells this run's processes from others that read the same group */
export function tally(before: Tally, sample: Sample, ours: (uid: string) => boolean): Tally {
  const next = new Map(before)
  for (const { heartbeat } of sample.consumers) {
    if (heartbeat === undefined || !ours(heartbeat.uid)) continue
    const { forwarded, duplicates, dead } = heartbeat
    next.set(heartbeat.uid, { forwarded, duplicates, dead })
  }
  return next
}

export function totalsOf(tally: Tally): Totals {
  let [forwarded, duplicates, dead] = [0, 0, 0]
  for (const one of tally.values()) {
    forwarded += one.forwarded
    duplicates += one.duplicates
    dead += one.dead
  }
  return { forwarded, duplicates, dead }
}
