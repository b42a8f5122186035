/**
 * Taking jobs out by BullMQ's public interface. The mark always goes first. If it stayed beside a half removed job, the entry would
 * end as its duplicate, without a job.
 */
import type { Queue } from 'bullmq'
import { failureOn, type RedisConnection } from '../../connect/connection.ts'
import { type ForwardTarget, queueKey } from '../../placement.ts'
import type { Claim } from './claims.ts'

/** Removes a job that makes way, and all that is left of it. Throws catalogued errors. */
export async function removeJob(
  connection: RedisConnection,
  queue: Queue,
  target: ForwardTarget,
  { item, id, jobKey }: Claim,
): Promise<void> {
  try {
    await connection.del(target.keys.mark(item.hash))
    await queue.remove(id)
    // BullMQ removes no job with a lock that was left behind. Such a job must not be taken for the job that is added now, nor stay
    // in another list.
    for (const set of ['completed', 'failed']) await connection.zrem(queueKey(target) + set, id)
    await connection.del(jobKey)
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

/** The cause that refused the add may refuse the removal. The job then stays, as one that a worker has taken. */
const notRemoved = () => 0

/**
 * Removes a job whose add was refused half-way. One that a worker has taken by now stays, and gets its mark again. Throws catalogued
 * errors.
 */
export async function withdrawJob(
  connection: RedisConnection,
  queue: Queue,
  { keys, windowMs }: ForwardTarget,
  { item, id, jobKey }: Claim,
): Promise<void> {
  try {
    await connection.del(keys.mark(item.hash))
    const removed = await queue.remove(id).catch(notRemoved)
    if (removed === 1 || (await connection.exists(jobKey)) === 0) return
    await connection.set(keys.mark(item.hash), item.origin ?? 'direct', 'PX', windowMs)
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}
