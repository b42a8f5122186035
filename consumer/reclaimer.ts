/**
 * Reclaim: entries whose holder died, hung or gave them back. Each round pages through the entries that have been idle for `minIdle`, with
 * a cursor that is kept between rounds. An entry leaves its page in one of these ways, by its count of deliveries:
 *
 * - At or over the ceiling: it becomes a dead letter on the server, without being fetched. While the scaler's circuit
 *   breaker is open (scaling/outage.ts), nothing succeeds anywhere. The entries are then kept, and each round attempts one of them,
 *   uncounted, to see whether it succeeds again.
 * - Below it: it is attempted, fewest deliveries first (attempts.ts).
 *
 * After a start, `recoverOwn` first takes up this consumer's own entries, however fresh. A restarted container keeps its name, and no
 * other consumer will hold them. The same holds for entries that were delivered to us in a reply that never arrived. Nothing
 * attempted those, so taking them up does not raise their count.
 */

import type { CompiledPipeline } from '../api/compiled.ts'
import { listPending, type PendingRow } from '../redis/stream/pending.ts'
import { type DeadLetterOrder, settleEntries } from '../redis/stream/settlement.ts'
import { isCircuitOpen } from '../sampling/circuit.ts'
import { type AttemptMeans, createAttempts, throwUnlessFull } from './attempts.ts'
import { guarded } from './backendfailure.ts'
import { mayRead } from './states.ts'

export interface ReclaimReport {
  readonly claimed: number
  readonly trimmed: number
  /** Ids of entries that became dead letters because they were delivered too often. */
  readonly exhausted: readonly string[]
}

interface ReclaimerParts extends AttemptMeans {
  readonly pipeline: CompiledPipeline
  readonly report: (round: ReclaimReport) => void
}

interface Reclaimer {
  /** This consumer's own entries, from before it started. */
  recoverOwn(): Promise<void>
  /** This consumer's own entries that it does not hold: their replies were lost with the connection. One call examines some pages. */
  regainLost(): Promise<void>
  /** Entries that found no room in the dead-letter stream: a batch, and more as long as there is room. */
  retryWithheld(): Promise<void>
  /** One round over what is idle, from where the last one was cut short; `fromStart`: from the oldest entry on. */
  round(fromStart: boolean): Promise<void>
}

/** Rows looked at per page; a page costs Redis well under a millisecond. */
const pageSize = 256
/** Own entries younger than this may be in a reply on its way. */
const lostAfterMs = 2_000
/** Pages that one call examines for lost entries. The next call continues after them. */
const lostPages = 16

/** Names the page that follows a page of pending rows. `-`: none follows, and the next page is the first. */
function cursorAfter(rows: readonly PendingRow[]): string {
  return rows.length < pageSize ? '-' : `(${rows.at(-1)?.id ?? ''}`
}

export function createReclaimer(parts: ReclaimerParts): Reclaimer {
  const { pipeline, place, consumer, connection, held, lifecycle } = parts
  const { maxDeliveries } = pipeline.delivery
  const { batchSize, batchBytes } = pipeline.source
  const { minIdleMs } = pipeline.reclaim
  const attempts = createAttempts({
    ...parts,
    limits: { batchSize, batchBytes, maxDeliveries },
    report: (claimed, trimmed) => parts.report({ claimed, trimmed, exhausted: [] }),
  })
  let cursor = '-'
  let lostCursor = '-'

  const deadLetter = async (rows: readonly PendingRow[], minIdle: number) => {
    if (rows.length === 0) return
    const deadLetters: DeadLetterOrder[] = rows.map((row) => ({
      id: row.id,
      reason: 'MaxDeliveries',
      error: `delivered ${row.deliveries} times without being settled; the ceiling is ${maxDeliveries}`,
      redrives: 0,
      only: { minIdleMs: minIdle, minDeliveries: maxDeliveries },
    }))
    const { deadLetters: outcomes, refusal } = await settleEntries(connection, place, [], deadLetters)
    const exhausted = rows.filter((_, index) => outcomes[index] === 'dead').map(({ id }) => id)
    if (exhausted.length > 0) parts.report({ claimed: 0, trimmed: 0, exhausted })
    if (refusal !== undefined) throwUnlessFull(refusal)
  }

  /** Returns false when draining or an outage ended the round. */
  const workOff = async (rows: readonly PendingRow[], minIdle: number) => {
    const mine = rows.filter(({ id }) => !held.has(id))
    const worn = mine.filter((row) => row.deliveries >= maxDeliveries)
    const keep = worn.length > 0 && (await isCircuitOpen(connection, place.keys))
    if (!keep) await deadLetter(worn, minIdle)
    const suspects = mine.filter(({ deliveries }) => deliveries < maxDeliveries)
    if (!(await attempts.suspects(suspects, minIdle))) return false
    const [probe] = worn
    // The probe is none of our own entries from before the start (`minIdle` 0). If it killed us, it would do so again before
    // anything is read.
    return !keep || probe === undefined || minIdle === 0 || (await attempts.all([probe], minIdle, { counts: false }))
  }

  return {
    async recoverOwn() {
      let start = '-'
      let finished = false
      while (!finished) {
        // An outage or a full queue only interrupts it: no other consumer will take these entries for `minIdle`.
        await lifecycle.until((state) => mayRead(state) || lifecycle.draining.aborted)
        if (lifecycle.draining.aborted) return
        await guarded(lifecycle, async () => {
          const rows = await listPending(connection, place, { start, count: pageSize, consumer })
          if (!(await workOff(rows, 0))) return
          start = cursorAfter(rows)
          finished = start === '-'
        })
      }
    },
    async regainLost() {
      await guarded(lifecycle, async () => {
        // Held entries may fill whole pages: withheld entries stay as long as the dead-letter stream is full.
        for (let pages = 0; pages < lostPages; pages++) {
          const page = { start: lostCursor, count: pageSize, minIdleMs: lostAfterMs, consumer }
          const rows = await listPending(connection, place, page)
          const lost = rows.filter(({ id }) => !held.has(id))
          const fresh = lost.filter(({ deliveries }) => deliveries <= 1)
          const again = lost.filter(({ deliveries }) => deliveries > 1)
          if (!(await attempts.all(fresh, lostAfterMs, { counts: false }))) return
          if (!(await attempts.suspects(again, lostAfterMs))) return
          lostCursor = cursorAfter(rows)
          if (lostCursor === '-') return
        }
      })
    },
    async retryWithheld() {
      await guarded(lifecycle, async () => {
        for (let before = Number.POSITIVE_INFINITY; held.withheld > 0 && held.withheld < before; ) {
          before = held.withheld
          if ((await attempts.batch(held.oldestWithheld(batchSize), 0, false)) === 0) return
        }
      })
    },
    async round(fromStart) {
      if (fromStart) cursor = '-'
      await guarded(lifecycle, async () => {
        for (;;) {
          const rows = await listPending(connection, place, { start: cursor, count: pageSize, minIdleMs })
          if (!(await workOff(rows, minIdleMs))) return
          cursor = cursorAfter(rows)
          if (cursor === '-') return
        }
      })
    },
  }
}
