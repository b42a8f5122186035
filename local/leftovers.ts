/** The remains of a demo run in Redis, read at its end: for its ledger, and to know when everything is finished. */
import type { CompiledPipeline } from '../api/compiled.ts'
import { failureOn, type RedisConnection } from '../redis/connect/connection.ts'
import { decodeDeadLetter } from '../redis/record.ts'
import type { Sample } from '../scaling/sample.ts'

/** Jobs that BullMQ has not finished with: waiting, running, delayed. */
export async function unfinishedJobs(queue: RedisConnection, { sink }: CompiledPipeline, sample: Sample): Promise<number> {
  const key = (type: string) => `${sink.prefix}:${sink.queue}:${type}`
  try {
    const [active, delayed] = await Promise.all([queue.llen(key('active')), queue.zcard(key('delayed'))])
    return sample.queueWaiting + active + delayed
  } catch (thrown) {
    throw failureOn(queue, thrown)
  }
}

/** Entries of the stream that are not settled. Poison is included: it ends as a dead letter. */
export const unsettledEntries = (sample: Sample): number => sample.undelivered + sample.pending

const page = 500

/** The key hash of each dead letter written after `afterId`; empty text where the payload had no key. */
export async function deadLetterKeys(redis: RedisConnection, stream: string, afterId: string): Promise<string[]> {
  const keys: string[] = []
  let last = afterId
  try {
    for (;;) {
      const records = await redis.xrangeBuffer(stream, `(${last}`, '+', 'COUNT', page)
      for (const [id, flat] of records) {
        last = String(id)
        keys.push(decodeDeadLetter(last, flat).idempotencyKey)
      }
      if (records.length < page) return keys
    }
  } catch (thrown) {
    throw failureOn(redis, thrown)
  }
}

/** The id of the newest dead letter, or the lowest possible id. */
export async function lastDeadLetter(redis: RedisConnection, stream: string): Promise<string> {
  try {
    const [newest] = await redis.xrevrange(stream, '+', '-', 'COUNT', 1)
    return newest?.[0] ?? '0-0'
  } catch (thrown) {
    throw failureOn(redis, thrown)
  }
}
