/**
 * Attempts at pending entries: claimed and settled in batches, each in a slot of its own. An entry that was delivered often is
 * attempted with few others, and alone when one delivery is left. So a crash that it causes then raises no other entry's count
 * (docs/decisions/halved-batches.md).
 */
import type { StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import type { Semaphore } from '../process/semaphore.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { StreamPlace } from '../redis/placement.ts'
import { claimEntries, type Delivery, type PendingRow } from '../redis/stream/pending.ts'
import type { HeldEntries } from './held.ts'
import type { Lifecycle } from './lifecycle.ts'
import { mayRead } from './states.ts'

/** The reclaimer has these, too. */
export interface AttemptMeans {
  readonly place: StreamPlace
  readonly consumer: string
  readonly connection: RedisConnection
  readonly held: HeldEntries
  readonly lifecycle: Lifecycle
  /** The batches in flight. */
  readonly slots: Semaphore
  /** Ends a read that blocks, since the slot that it holds is wanted here. */
  readonly endRead: () => Promise<void>
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly settle: (batch: readonly Delivery[]) => Promise<void>
}

interface AttemptParts extends AttemptMeans {
  readonly limits: AttemptLimits
  /** @param claimed only entries whose delivery count rose */
  readonly report: (claimed: number, trimmed: number) => void
}

interface AttemptLimits {
  readonly batchSize: number
  readonly batchBytes: number
  readonly maxDeliveries: number
}

interface Options {
  /** False: the attempt does not raise delivery counts. Default: true. */
  readonly counts?: boolean
  /** Most entries of a batch. Default: `batchSize`. */
  readonly together?: number
}

interface Attempts {
  /**
   * Claims and settles one batch: as many of the entries, from the first on, as `batchBytes` allows. Returns how many; 0 when draining or
   * an outage ended the round.
   */
  batch(ids: readonly string[], minIdleMs: number, counts: boolean): Promise<number>
  /** All rows, in batches. Returns false when draining or an outage ended the round before the last. */
  all(rows: readonly PendingRow[], minIdleMs: number, options?: Options): Promise<boolean>
  /** Rows with equal delivery counts together, fewest deliveries first. Returns as `all`. */
  suspects(rows: readonly PendingRow[], minIdleMs: number): Promise<boolean>
}

/** A read may be on its way to the server when its slot is wanted: the server is asked until there is a slot. */
const endReadEveryMs = 50
const never = new AbortController().signal

/** How many entries that were delivered so often are attempted together. */
function attemptedTogether({ batchSize, maxDeliveries }: AttemptLimits, deliveries: number): number {
  if (maxDeliveries - deliveries <= 1) return 1
  return Math.max(1, Math.floor(batchSize / 2 ** deliveries))
}

export function createAttempts(parts: AttemptParts): Attempts {
  const { place, consumer, connection, held, lifecycle, slots, limits } = parts

  const takeSlot = async () => {
    const taking = slots.take(lifecycle.draining)
    for (;;) {
      const later = pause(endReadEveryMs, never, parts.clock.after).then(() => 'not yet' as const)
      const taken = await Promise.race([taking, later])
      if (taken !== 'not yet') return taken
      await parts.endRead().catch(ignoreFailure)
    }
  }

  const batch = async (ids: readonly string[], minIdleMs: number, counts: boolean) => {
    const free = await takeSlot()
    if (free === undefined || !mayRead(lifecycle.state)) {
      free?.()
      return 0
    }
    try {
      // With `minIdleMs` 0 the script claims only entries that are pending under our name.
      const how = { counts, own: minIdleMs === 0, maxBytes: limits.batchBytes }
      const { claimed, trimmed, seen, refusal } = await claimEntries(connection, place, consumer, minIdleMs, ids, how)
      held.add(
        claimed.map(({ id }) => id),
        parts.clock.now(),
      )
      const taken = new Set(claimed.map(({ id }) => id))
      // Settled by another, or trimmed: not ours any more, if it was.
      held.remove(ids.slice(0, seen).filter((id) => !taken.has(id)))
      parts.report(counts ? claimed.length : 0, trimmed)
      if (claimed.length > 0) await parts.settle(claimed)
      if (refusal !== undefined) throwUnlessFull(refusal)
      return seen
    } finally {
      free()
    }
  }

  const all = async (
    rows: readonly PendingRow[],
    minIdleMs: number,
    { counts = true, together = limits.batchSize }: Options = {},
  ) => {
    for (let at = 0; at < rows.length; ) {
      const ids = rows.slice(at, at + together).map(({ id }) => id)
      const seen = await batch(ids, minIdleMs, counts)
      if (seen === 0) return false
      at += seen
    }
    return true
  }

  const suspects = async (rows: readonly PendingRow[], minIdleMs: number) => {
    const byDeliveries = Map.groupBy(rows, ({ deliveries }) => deliveries)
    for (const [deliveries, alike] of [...byDeliveries].toSorted(([a], [b]) => a - b)) {
      if (!(await all(alike, minIdleMs, { together: attemptedTogether(limits, deliveries) }))) return false
    }
    return true
  }

  return { batch, all, suspects }
}

/** Dead letters that find no room stay pending until there is some: no reason to stop the others. */
export function throwUnlessFull(refusal: StreamPipelineError): void {
  if (refusal.code !== 'DeadLettersFull') throw refusal
}

/** It only spares the wait until the block ends by itself. */
function ignoreFailure() {}
