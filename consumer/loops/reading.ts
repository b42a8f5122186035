/**
 * The reading loop. It waits until the state allows a read and a slot is free, reads a batch, and has it settled in that slot.
 *
 *   recovering own entries ──▶ waiting for a state that may read ──▶ waiting for a slot ──▶ reading ──▶ the batch settles on its own
 *                                        ▲                                                     │
 *                                        └──────────────── empty, or failed: slot freed ◀──────┘
 *
 * Draining ends it at each of these waits.
 */
import type { Clock } from '../../process/clock.ts'
import type { Semaphore } from '../../process/semaphore.ts'
import type { Delivery } from '../../redis/stream/pending.ts'
import { backendFailure } from '../backendfailure.ts'
import type { HeldEntries } from '../held.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { mayRead } from '../states.ts'

interface ReadingParts {
  readonly lifecycle: Lifecycle
  readonly clock: Pick<Clock, 'now'>
  readonly held: Pick<HeldEntries, 'add'>
  /** The batches in flight. */
  readonly slots: Semaphore
  /** Blocks for new entries. Throws catalogued errors. */
  readonly read: () => Promise<readonly Delivery[]>
  readonly settle: (batch: readonly Delivery[]) => Promise<void>
  /** Counts the jobs that wait, before the first read. */
  readonly observeQueue: () => Promise<void>
  /** Receives the unexpected error of a batch that settles on its own. */
  readonly crash: (thrown: unknown) => void
}

/** @param recovered resolves when the entries from before this start are taken up: until then each entry under our name is one of them */
export async function reading(parts: ReadingParts, recovered: Promise<void>): Promise<void> {
  const { lifecycle, slots } = parts
  await recovered
  await parts.observeQueue()
  while (!lifecycle.draining.aborted) {
    await lifecycle.until((state) => mayRead(state) || lifecycle.draining.aborted)
    const free = await slots.take(lifecycle.draining)
    if (free === undefined) return
    if (mayRead(lifecycle.state)) await readInto(parts, free)
    else free()
  }
}

/** Reads a batch and leaves it to be settled. @param free frees the batch's slot */
async function readInto(parts: ReadingParts, free: () => void): Promise<void> {
  const entries = await readOrReport(parts)
  parts.held.add(
    entries.map(({ id }) => id),
    parts.clock.now(),
  )
  if (entries.length === 0) free()
  // Later in this turn, so that the next read is sent first. A read sent only after this batch is decoded would leave Redis idle
  // meanwhile.
  else setImmediate(() => void parts.settle(entries).then(free, parts.crash))
}

async function readOrReport({ lifecycle, read }: ReadingParts): Promise<readonly Delivery[]> {
  try {
    return await read()
  } catch (thrown) {
    // While draining the connection may be cut under the read: nothing was delivered then.
    if (!lifecycle.draining.aborted) lifecycle.backendFailed(backendFailure(thrown))
    return []
  }
}
