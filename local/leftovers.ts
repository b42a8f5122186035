/** The remains of a demo run in Redis, read at its end: for its outcomes, and to know when everything is finished. */
import type { CompiledPipeline } from '../api/compiled.ts'
import { failureOn, type RedisConnection } from '../redis/connect/connection.ts'
import { createRecords } from '../redis/deadletters/records.ts'
import type { StreamPlace } from '../redis/placement.ts'
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

/** The dead letters of one run. */
export interface RunDeadLetters {
  /** The key hash of each that came since the run began; empty text where the payload had no key. Throws catalogued errors. */
  keys(): Promise<string[]>
}

/** @param connection of a role that reads whole entries: a dead letter may hold a payload of any size. Throws catalogued errors. */
export async function startDeadLetters(connection: RedisConnection, place: StreamPlace): Promise<RunDeadLetters> {
  const before = await newestId(connection, place.deadLetters)
  const records = createRecords(connection, place)
  return {
    async keys() {
      const keys: string[] = []
      for await (const { idempotencyKey } of records.list({ from: `(${before}` })) keys.push(idempotencyKey)
      return keys
    },
  }
}

/** The lowest possible id where there is none. */
async function newestId(connection: RedisConnection, stream: string): Promise<string> {
  try {
    const [newest] = await connection.xrevrange(stream, '+', '-', 'COUNT', 1)
    return newest?.[0] ?? '0-0'
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}
