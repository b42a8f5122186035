/**
 * Pauses a queue as BullMQ 5 does: waiting jobs move to a list of their own. BullMQ 6 leaves them in place and reads `meta` only.
 * A dashboard or script of the older major may share a queue with this product.
 */
import type { Redis } from 'ioredis'

/** @param queueKey `<prefix>:<queue>:` */
export async function pauseAsBullmq5(redis: Redis, queueKey: string): Promise<void> {
  await redis.eval(
    `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
redis.call('HSET', KEYS[3], 'paused', 1)
redis.call('DEL', KEYS[4])`,
    4,
    ...['wait', 'paused', 'meta', 'marker'].map((part) => queueKey + part),
  )
}

/** The list that is renamed back replaces a `wait` that another program filled meanwhile. */
export async function resumeAsBullmq5(redis: Redis, queueKey: string): Promise<void> {
  await redis.eval(
    `if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end
redis.call('HDEL', KEYS[3], 'paused')
if redis.call('LLEN', KEYS[1]) > 0 then redis.call('ZADD', KEYS[4], 0, '0') end`,
    4,
    ...['wait', 'paused', 'meta', 'marker'].map((part) => queueKey + part),
  )
}
