/**
 * Reclaim: entries whose holder died, hung or gave them back. Each round pages through what has been idle for `minIdle`, with a
 * cursor that is kept between rounds, and works it off by how often it was delivered:
 *
 * - at or over the ceiling: buried on the server, without being fetched; but while the scaler's circuit is open, since nothing
 *   succeeds anywhere, they are kept, and one of them is attempted in each round, uncounted, to see whether it does again;
 * - below it: claimed right before the attempt, fewest deliveries first, with those that were delivered as often. Each delivery
 *   halves the batch, and an entry with one delivery left is attempted alone: whatever kills its process then takes nobody with it.
 *
 * The first round after a start also takes this consumer's own entries, however fresh: a restarted container keeps its name,
 * and nobody else will hold them. The same holds for what was delivered to us in a reply that never arrived; nobody attempted
 * that, so taking it up does not raise its count.
 */

import type { CompiledPipeline } from '../api/compiled.ts'
import type { StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import type { Semaphore } from '../process/semaphore.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { StreamPlace } from '../redis/placement.ts'
import { claimEntries, type Delivery, listPending, type PendingRow } from '../redis/stream/pending.ts'
import { type Burial, settleEntries } from '../redis/stream/settlement.ts'
import { isCircuitOpen } from '../scaling/circuit.ts'
import { guarded } from './defects.ts'
import type { HeldEntries } from './held.ts'
import type { Lifecycle } from './lifecycle.ts'
import { mayRead } from './states.ts'

export interface ReclaimReport {
  readonly claimed: number
  readonly trimmed: number
  /** Ids buried because they were delivered too often. */
  readonly exhausted: readonly string[]
}

interface ReclaimerParts {
  readonly pipeline: CompiledPipeline
  readonly place: StreamPlace
  readonly consumer: string
  readonly connection: RedisConnection
  readonly held: HeldEntries
  readonly lifecycle: Lifecycle
  /** The batches in flight. */
  readonly slots: Semaphore
  /** Ends a read that blocks: it holds a slot for nothing, which is wanted here. */
  readonly endRead: () => Promise<void>
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly settle: (batch: readonly Delivery[]) => Promise<void>
  readonly report: (round: ReclaimReport) => void
}

/** How many entries that were delivered so often are attempted together. */
export function attemptedTogether(batchSize: number, deliveries: number, maxDeliveries: number): number {
  if (maxDeliveries - deliveries <= 1) return 1
  return Math.max(1, Math.floor(batchSize / 2 ** deliveries))
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
/** A read may be on its way to the server when its slot is wanted: the server is asked until there is a slot. */
const endReadEveryMs = 50
const never = new AbortController().signal

export function createReclaimer(parts: ReclaimerParts): Reclaimer {
  const { pipeline, place, consumer, connection, held, lifecycle, slots } = parts
  const { maxDeliveries } = pipeline.delivery
  const { batchSize, batchBytes } = pipeline.source
  const { minIdleMs } = pipeline.reclaim
  let cursor = '-'
  let lostCursor = '-'

  const bury = async (rows: readonly PendingRow[], minIdle: number) => {
    if (rows.length === 0) return
    const burials: Burial[] = rows.map((row) => ({
      id: row.id,
      reason: 'MaxDeliveries',
      error: `delivered ${row.deliveries} times without being settled; the ceiling is ${maxDeliveries}`,
      redrives: 0,
      only: { minIdleMs: minIdle, minDeliveries: maxDeliveries },
    }))
    const { burials: outcomes, refusal } = await settleEntries(connection, place, [], burials)
    const exhausted = rows.filter((_, index) => outcomes[index] === 'dead').map(({ id }) => id)
    if (exhausted.length > 0) parts.report({ claimed: 0, trimmed: 0, exhausted })
    if (refusal !== undefined) tellRefusal(refusal)
  }

  const takeSlot = async () => {
    const taking = slots.take(lifecycle.draining)
    for (;;) {
      const later = pause(endReadEveryMs, never, parts.clock.after).then(() => 'not yet' as const)
      const taken = await Promise.race([taking, later])
      if (taken !== 'not yet') return taken
      await parts.endRead().catch(ignoreFailure)
    }
  }

  /**
   * Claims and settles one batch in a slot of its own: as many of the rows, from the first on, as `batchBytes` allows. Returns how
   * many; 0 when draining or an outage ended the round.
   */
  const attempt = async (ids: readonly string[], minIdle: number, counts = true) => {
    const free = await takeSlot()
    if (free === undefined || !mayRead(lifecycle.state)) {
      free?.()
      return 0
    }
    try {
      // Without a time to wait for, entries are ours by name or not at all.
      const how = { counts, own: minIdle === 0, maxBytes: batchBytes }
      const { claimed, trimmed, seen, refusal } = await claimEntries(connection, place, consumer, minIdle, ids, how)
      held.add(
        claimed.map(({ id }) => id),
        parts.clock.now(),
      )
      const taken = new Set(claimed.map(({ id }) => id))
      // Settled by another, or trimmed: not ours any more, if it was.
      held.remove(ids.slice(0, seen).filter((id) => !taken.has(id)))
      parts.report({ claimed: counts ? claimed.length : 0, trimmed, exhausted: [] })
      if (claimed.length > 0) await parts.settle(claimed)
      if (refusal !== undefined) tellRefusal(refusal)
      return seen
    } finally {
      free()
    }
  }

  /** In batches. Returns false when the round was ended before the last. */
  const attemptAll = async (rows: readonly PendingRow[], minIdle: number, counts = true, together = batchSize) => {
    for (let at = 0; at < rows.length; ) {
      const ids = rows.slice(at, at + together).map(({ id }) => id)
      const seen = await attempt(ids, minIdle, counts)
      if (seen === 0) return false
      at += seen
    }
    return true
  }

  /** Those that were delivered as often with one another, fewest deliveries first. Returns as `attemptAll`. */
  const attemptSuspects = async (rows: readonly PendingRow[], minIdle: number) => {
    const byDeliveries = Map.groupBy(rows, ({ deliveries }) => deliveries)
    for (const [deliveries, alike] of [...byDeliveries].toSorted(([a], [b]) => a - b)) {
      const together = attemptedTogether(batchSize, deliveries, maxDeliveries)
      if (!(await attemptAll(alike, minIdle, true, together))) return false
    }
    return true
  }

  const workOff = async (rows: readonly PendingRow[], minIdle: number) => {
    const mine = rows.filter(({ id }) => !held.has(id))
    const worn = mine.filter((row) => row.deliveries >= maxDeliveries)
    const keep = worn.length > 0 && (await isCircuitOpen(connection, place.keys))
    if (!keep) await bury(worn, minIdle)
    const suspects = mine.filter(({ deliveries }) => deliveries < maxDeliveries)
    if (!(await attemptSuspects(suspects, minIdle))) return false
    const [probe] = worn
    // Not one of our own from before: if it killed us it would do so again, before anything is read.
    return !keep || probe === undefined || minIdle === 0 || (await attemptAll([probe], minIdle, false))
  }

  return {
    async recoverOwn() {
      let start = '-'
      let finished = false
      while (!finished) {
        // An outage or a full queue only interrupts it: nobody else will hold these entries for `minIdle`.
        await lifecycle.until((state) => mayRead(state) || lifecycle.draining.aborted)
        if (lifecycle.draining.aborted) return
        await guarded(lifecycle, async () => {
          const rows = await listPending(connection, place, { start, count: pageSize, consumer })
          if (!(await workOff(rows, 0))) return
          finished = rows.length < pageSize
          start = `(${rows.at(-1)?.id ?? ''}`
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
          const [again, fresh] = [
            lost.filter(({ deliveries }) => deliveries > 1),
            lost.filter(({ deliveries }) => deliveries <= 1),
          ]
          if (!(await attemptAll(fresh, lostAfterMs, false))) return
          if (!(await attemptSuspects(again, lostAfterMs))) return
          lostCursor = rows.length < pageSize ? '-' : `(${rows.at(-1)?.id ?? ''}`
          if (lostCursor === '-') return
        }
      })
    },
    async retryWithheld() {
      await guarded(lifecycle, async () => {
        for (let before = Number.POSITIVE_INFINITY; held.withheld > 0 && held.withheld < before; ) {
          before = held.withheld
          if ((await attempt(held.oldestWithheld(batchSize), 0, false)) === 0) return
        }
      })
    },
    async round(fromStart) {
      if (fromStart) cursor = '-'
      await guarded(lifecycle, async () => {
        for (;;) {
          const rows = await listPending(connection, place, { start: cursor, count: pageSize, minIdleMs })
          const next = rows.length < pageSize ? '-' : `(${rows.at(-1)?.id ?? ''}`
          if (!(await workOff(rows, minIdleMs))) return
          cursor = next
          if (cursor === '-') return
        }
      })
    },
  }
}

/** Dead letters that find no room stay pending until there is some: no reason to stop the others. */
function tellRefusal(refusal: StreamPipelineError): void {
  if (refusal.code !== 'DeadLettersFull') throw refusal
}

/** It only spares the wait until the block ends by itself. */
function ignoreFailure() {}
