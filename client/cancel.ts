/**
 * Cancelling a request that has not begun. Its key is marked as cancelled for the idempotency window, so an entry of it that is
 * still in the stream ends as a duplicate. BullMQ's own removal removes its job.
 */
import { failureOn } from '../redis/connect/connection.ts'
import { jobId } from '../redis/keys.ts'
import { queueKey, targetOf } from '../redis/placement.ts'
import { cancelRequestWith } from '../redis/scripts/generated.ts'
import { cancelledMark } from '../redis/status/summary.ts'
import type { Links } from './links.ts'
import type { Plan } from './plan.ts'
import type { RequestName } from './requestname.ts'
import { type StatusOptions, statusOf } from './status.ts'
import { type CancelOutcome, standingOf } from './verdicts.ts'

/** Throws as `status`. */
export async function cancelRequest(links: Links, plan: Plan, name: RequestName, options: StatusOptions): Promise<CancelOutcome> {
  const status = await statusOf(links, plan, name, options)
  const { key } = status
  const standing = standingOf(status)
  if (standing !== undefined || key === undefined) return { outcome: standing ?? 'unknown', status }
  const target = targetOf(plan.config)
  const connection = await links.queue(plan)
  const { bull, isKnown } = await links.bull(plan)
  const cancel = cancelRequestWith(isKnown ? bull.textsFor(target.jobOptions, 'Specialised') : {})
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
