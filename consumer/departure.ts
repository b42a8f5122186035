/**
 * The end of a consumer that ran: it stops reading, finishes its batches until the deadline, hands back the rest, and leaves the group.
 * Heartbeats go on until then, or a long drain would look like a death.
 */
import type { Clock } from '../process/clock.ts'
import { pause } from '../process/pause.ts'
import type { Semaphore } from '../process/semaphore.ts'
import { close } from '../redis/connect/connection.ts'
import { replyCode } from '../redis/connect/replies.ts'
import { handBackEntries } from '../redis/stream/pending.ts'
import { retireConsumer } from '../redis/stream/registry.ts'
import type { Announce, ConsumerParts } from './parts.ts'
import type { Totals } from './tally.ts'

/** How long a drain waits for the blocked read to end when asked to. */
const readEndMs = 2_000

interface DepartureParts extends Pick<ConsumerParts, 'connections' | 'place' | 'name' | 'pipeline'> {
  readonly clock: Pick<Clock, 'now' | 'after'>
  /** The batches in flight. */
  readonly slots: Semaphore
  /** Ends the blocked read, and lets none begin. */
  readonly stopReading: () => Promise<void>
  /** Ends heartbeats. Resolves after the last. */
  readonly stopBeating: () => Promise<void>
  readonly announce: Announce
  readonly totals: () => Totals
  /** Receives the number of trimmed entries that became dead letters. */
  readonly trimmed: (count: number) => void
}

/** @returns whether all entries were settled or handed back */
export async function depart(parts: DepartureParts, deadlineMs: number): Promise<boolean> {
  const { connections, clock, slots } = parts
  const isEnded = await within(clock, readEndMs, parts.stopReading()).catch(cannotBeAsked)
  // The connection is cut under the read. Entries that the read still delivers are handed back below, or reclaimed.
  if (!isEnded) await close(connections.blocking)
  const isFinished = await within(clock, Math.max(0, deadlineMs - clock.now()), slots.idle())
  await parts.stopBeating()
  return (await leave(parts)) && isFinished
}

/** Redis cannot be asked to end the read. */
const cannotBeAsked = (): boolean => false

/** @returns whether the work ended in time. Throws what the work throws in time. */
async function within(clock: Pick<Clock, 'after'>, ms: number, work: Promise<void>): Promise<boolean> {
  const over = new AbortController()
  try {
    return await Promise.race([work.then(() => true), pause(ms, over.signal, clock.after).then(() => false)])
  } finally {
    over.abort()
  }
}

/** Redis may be away. Then the operator's reaping hands back the entries later. */
async function leave({ connections, place, name, pipeline, announce, totals, trimmed }: DepartureParts): Promise<boolean> {
  const { writer } = connections
  try {
    const entries = await handBackEntries(writer, place, name, pipeline.reclaim.minIdleMs, trimmed)
    announce('handedBack', entries, await retireConsumer(writer, place, name), totals())
    return true
  } catch (thrown) {
    // No group, nothing to hand back.
    return replyCode(thrown) === 'NOGROUP'
  }
}
