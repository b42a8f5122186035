/**
 * Running totals of one consumer, as its heartbeat reports them. The mean service time is a moving one over entries: the scaler
 * derives a consumer's rate from it.
 */
import type { Heartbeat } from '../redis/stream/registry.ts'
import type { ReclaimReport } from './reclaimer.ts'
import type { BatchReport } from './settler.ts'

export type Totals = Pick<Heartbeat, 'serviceMs' | 'forwarded' | 'duplicates' | 'dead' | 'reclaimed'>

export interface Tally {
  batch(report: BatchReport): void
  reclaim(report: ReclaimReport): void
  read(): Totals
}

export function createTally(): Tally {
  const totals = { serviceMs: 0, forwarded: 0, duplicates: 0, dead: 0, reclaimed: 0 }
  /** Entries whose time is in the mean. */
  let timed = 0
  return {
    batch({ entries, outcomes, durationMs }) {
      totals.forwarded += outcomes.forwarded
      totals.duplicates += outcomes.duplicate
      totals.dead += outcomes.dead
      if (entries === 0) return
      timed += entries
      // Weighted by entries, so that one slow straggler does not look like a slow consumer; and the plain mean of all at first.
      // Otherwise the first batch, slow since code is still being compiled, would decide the mean of a quiet consumer for hundreds
      // of entries.
      const weight = Math.max(Math.min(0.5, entries / 500), entries / timed)
      totals.serviceMs += (durationMs / entries - totals.serviceMs) * weight
    },
    reclaim({ claimed, exhausted, trimmed }) {
      totals.reclaimed += claimed
      totals.dead += exhausted.length + trimmed
    },
    read: () => ({ ...totals, serviceMs: Math.round(totals.serviceMs * 1000) / 1000 }),
  }
}
