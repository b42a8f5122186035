/**
 * How a batch of entries is settled, stream and queue together. Three ways, one meaning; what differs is where a crash may
 * fall between two steps, and what then makes the second attempt harmless:
 *
 * - Atomic: stream, dead letters and queue are in one slot of one server. One script does everything for a batch. The pending list is the
 *   lock. There is no moment in between.
 * - Split: the queue is elsewhere. One script with the queue looks for mark and job, adds, and marks. `WAIT` for its replicas follows, then
 *   one script with the stream. After a crash in between the entry ends as `duplicate`.
 * - Portable: the scripts of BullMQ are unknown. Lock, MULTI and release with the queue come first, then one script with the stream. After a
 *   crash in between the entry ends as `duplicate`; portable.ts describes its lock-expiry window.
 */

import type { StreamPipelineError } from '../../api/errors.ts'
import type { ForwardItem } from '../bullmq/item.ts'
import type { DeadLetterReason } from '../record.ts'

export type PathKind = 'Atomic' | 'Split' | 'Portable'

/** The result of decoding an entry. */
export type Disposition =
  | { readonly kind: 'Forward'; readonly id: string; readonly item: ForwardItem; readonly redrives: number }
  | {
      readonly kind: 'DeadLetter'
      readonly id: string
      readonly reason: DeadLetterReason
      readonly error: string
      readonly redrives: number
    }

export type SettleOutcome =
  | { readonly kind: 'forwarded' | 'duplicate' }
  /** No longer pending: another consumer settled it. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'dead'; readonly reason: DeadLetterReason; readonly error: string }
  /** Another forwarder holds this key right now: still pending, ask again soon. */
  | { readonly kind: 'contended' }
  /** Redis refused it, or did not answer, as the settlement's `failure` says: try again, which is safe. */
  | { readonly kind: 'unsettled' }

interface Settlement {
  /** One per verdict, in order. */
  readonly outcomes: readonly SettleOutcome[]
  /** Jobs that wait, for a worker or for their time (wait, paused, prioritized, delayed), as of this settlement. */
  readonly waiting: number
  /** Why some are `unsettled`. */
  readonly failure?: StreamPipelineError
}

/** The outcome of a batch, of which a part may have failed. The rest is reported too, or it would count as `gone` at the next try. */
export function settlementOf(
  outcomes: readonly SettleOutcome[],
  waiting: number,
  failure: StreamPipelineError | undefined,
): Settlement {
  if (failure === undefined) return { outcomes, waiting }
  if (outcomes.every(({ kind }) => kind === 'unsettled')) throw failure
  return { outcomes, waiting, failure }
}

export interface SettlePath {
  readonly kind: PathKind
  /**
   * Throws a catalogued error when Redis is away or refuses, and nothing is known to be settled. The outcome is then unknown, and
   * trying again is safe.
   */
  settle(verdicts: readonly Disposition[]): Promise<Settlement>
  waiting(): Promise<number>
  close(): Promise<void>
}
