/**
 * Running totals of one consumer, as its heartbeat tells them. The mean service time is a moving one over entries: the scaler
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
  return {
    batch({ entries, outcomes, durationMs }) {
      totals.forwarded += outcomes.forwarded
      totals.duplicates += outcomes.duplicate
      totals.dead += outcomes.dead
      if (entries === 0) return
      const latest = durationMs / entries
      // Weighted by entries, so that one slow straggler does not look like a slow consumer.
      const weight = Math.min(0.5, entries / 500)
      totals.serviceMs = totals.serviceMs === 0 ? latest : totals.serviceMs * (1 - weight) + latest * weight
    },
    reclaim({ claimed, exhausted, trimmed }) {
      totals.reclaimed += claimed
      totals.dead += exhausted.length + trimmed
    },
    read: () => ({ ...totals, serviceMs: Math.round(totals.serviceMs * 1000) / 1000 }),
  }
}
