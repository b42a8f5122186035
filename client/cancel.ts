/**
 * Cancelling a request that has not begun. Its key is marked as cancelled for the idempotency window, so an entry of it that is still in the
 * stream ends as a duplicate, and its job is removed by BullMQ's own removal.
 */
import { failureOn } from '../redis/connect/connection.ts'
import { jobId } from '../redis/keys.ts'
import { queueKey, targetOf } from '../redis/placement.ts'
import { cancelRequestWith } from '../redis/scripts/generated.ts'
import type { RequestStatus } from '../redis/status/request.ts'
import { cancelledMark } from '../redis/status/request.ts'
import type { Links } from './links.ts'
import type { Plan } from './plan.ts'
import { type RequestName, type StatusOptions, statusOf } from './status.ts'

export interface CancelOutcome {
  /**
   * `cancelled`: it will not run; its key stays taken for `idempotency.window`. `begun`: an attempt has begun. `ended`: it has run, or is a dead
   * letter. `unknown`: no trace of it, so nothing was done; give what `dispatch` returned.
   */
  readonly outcome: 'cancelled' | 'begun' | 'ended' | 'unknown'
  /** Where it was before. */
  readonly status: RequestStatus
}

/** Throws as `status`. */
export async function cancelRequest(links: Links, plan: Plan, name: RequestName, options: StatusOptions): Promise<CancelOutcome> {
  const status = await statusOf(links, plan, name, options)
  const { key } = status
  const standing = standingOf(status)
  if (standing !== undefined || key === undefined) return { outcome: standing ?? 'unknown', status }
  const target = targetOf(plan.config)
  const connection = await links.queue(plan)
  const { bull, isKnown } = await links.bull(plan)
  const cancel = cancelRequestWith(isKnown ? bull.textsFor(target.jobOptions) : {})
  const id = jobId(target.keys.scope, key)
  const mark = target.keys.mark(key)
  const { outcome, former } = await cancel(connection, { mark, queue: queueKey(target) }, { id, windowMs: target.windowMs })
  if (outcome !== 'marked') return { outcome: outcome === 'begun' || outcome === 'ended' ? outcome : 'cancelled', status }
  try {
    if ((await bull.queue.remove(id)) === 1) return { outcome: 'cancelled', status }
    // A worker has taken it meanwhile.
    await connection.set(mark, former === '' || former === cancelledMark ? 'direct' : former, 'PX', target.windowMs)
    return { outcome: 'begun', status }
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

/** Undefined: it may be cancelled. */
function standingOf({ state }: RequestStatus): CancelOutcome['outcome'] | undefined {
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
