/** The meaning of a request's state for a caller that waits for it, or cancels it. Pure. */
import type { DeadStatus } from '../redis/status/entrystate.ts'
import type { RequestStatus } from '../redis/status/summary.ts'

export type WaitOutcome =
  /** `result`: the return value of the handler. */
  | { readonly outcome: 'completed'; readonly result: unknown }
  /** The last attempt of the job failed. */
  | { readonly outcome: 'failed'; readonly error: string }
  | { readonly outcome: 'dead'; readonly dead: DeadStatus }
  /** Its job had ended before the wait began and was not kept, or was removed. */
  | { readonly outcome: 'notKept' }
  /** It was cancelled before it began. */
  | { readonly outcome: 'cancelled' }
  /** The time is up. `status`: the state of the request then. */
  | { readonly outcome: 'timeout'; readonly status: RequestStatus }

export interface CancelOutcome {
  /**
   * `cancelled`: the request will not run; its key stays taken for `idempotency.window`. `begun`: an attempt has begun. `ended`: it has run,
   * or is a dead letter. `unknown`: Redis has no trace of it, so nothing was done; pass the result of `dispatch`.
   */
  readonly outcome: 'cancelled' | 'begun' | 'ended' | 'unknown'
  /** The request's status before the call. */
  readonly status: RequestStatus
}

export function outcomeOf({ state, job, dead }: RequestStatus): WaitOutcome | undefined {
  switch (state) {
    case 'Completed':
      return { outcome: 'completed', result: job?.result }
    case 'Failed':
      return { outcome: 'failed', error: job?.error ?? '' }
    case 'Dead':
      return dead && { outcome: 'dead', dead }
    case 'NotKept':
      return { outcome: 'notKept' }
    case 'Cancelled':
      return { outcome: 'cancelled' }
    default:
      return undefined
  }
}

/** Undefined: it may be cancelled. */
export function standingOf({ state }: RequestStatus): CancelOutcome['outcome'] | undefined {
  switch (state) {
    case 'Unread':
    case 'Forwarding':
    case 'Waiting':
    case 'Prioritized':
    case 'Delayed':
      return undefined
    case 'Active':
    case 'Stalled':
    case 'WaitingChildren':
      return 'begun'
    case 'Completed':
    case 'Failed':
    case 'Dead':
    case 'NotKept':
      return 'ended'
    case 'Cancelled':
      return 'cancelled'
    case 'Unknown':
      return 'unknown'
    default:
      return state satisfies never
  }
}
