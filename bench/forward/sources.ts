/** Fills the place that a contender takes its requests from, before it starts. */
import { Queue } from 'bullmq'
import type { ChainableCommander } from 'ioredis'
import type { RedisServer } from '../../test/support/redis.ts'
import { entryFields, names, type PayloadKind, payload } from './workload.ts'

/** Entries with a field per member; entries with one document; a BullMQ queue; the contender's own memory. */
export type Source = 'Entries' | 'Documents' | 'Queue' | 'Memory'

/** Bytes sent before the replies are waited for, about. */
const chunkBytes = 2 ** 20

/** Adds requests `from` to `to` (exclusive). */
export async function fillSource(
  server: RedisServer,
  source: Source,
  kind: PayloadKind,
  from: number,
  to: number,
): Promise<void> {
  switch (source) {
    case 'Entries':
      return await fill(server, kind, from, to)
    case 'Documents':
      return await fillStream(server, kind, from, to, (pipeline, index) => {
        pipeline.xadd(names.stream, '*', 'payload', JSON.stringify(payload(kind, index)))
      })
    case 'Queue':
      return await fillQueue(server, kind, from, to)
    case 'Memory':
      return
    default:
      return source satisfies never
  }
}

/** Adds entries to the stream, a field per member. */
export const fill = async (server: RedisServer, kind: PayloadKind, from: number, to: number): Promise<void> =>
  await fillStream(server, kind, from, to, (pipeline, index) => {
    pipeline.xadd(names.stream, '*', ...entryFields(kind, index))
  })

const chunkOf = (kind: PayloadKind, index: number) =>
  Math.ceil(chunkBytes / entryFields(kind, index).reduce((sum, text) => sum + text.length, 0))

async function fillStream(
  server: RedisServer,
  kind: PayloadKind,
  from: number,
  to: number,
  add: (pipeline: ChainableCommander, index: number) => void,
): Promise<void> {
  const redis = server.client()
  const chunk = chunkOf(kind, from)
  for (let at = from; at < to; at += chunk) {
    const pipeline = redis.pipeline()
    for (let index = at; index < Math.min(to, at + chunk); index++) add(pipeline, index)
    await pipeline.exec()
  }
  redis.disconnect()
}

async function fillQueue(server: RedisServer, kind: PayloadKind, from: number, to: number): Promise<void> {
  const redis = server.client({ maxRetriesPerRequest: null })
  const queue = new Queue(names.sourceQueue, { connection: redis, prefix: names.prefix })
  const chunk = Math.min(1_000, chunkOf(kind, from))
  for (let at = from; at < to; at += chunk) {
    const length = Math.min(to, at + chunk) - at
    await queue.addBulk(Array.from({ length }, (_, index) => ({ name: names.jobName, data: payload(kind, at + index) })))
  }
  await queue.close()
  redis.disconnect()
}
