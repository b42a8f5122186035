/**
 * The loop that articles about Redis Streams and BullMQ show, as written: read up to 100 entries, then for each one, awaited one
 * after the other: take the lock, add the job, release the lock by a script that checks the token, acknowledge.
 */
import { randomUUID } from 'node:crypto'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { jobOptions, names } from '../workload.ts'
import { input } from './input.ts'

const redis = new Redis(input.url, { maxRetriesPerRequest: null })
const blocking = redis.duplicate()
const queue = new Queue(names.queue, { connection: redis, prefix: names.prefix })
const releaseLock = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end`

await redis.xgroup('CREATE', names.stream, names.group, '0', 'MKSTREAM')
for (;;) {
  const reply = await blocking.xreadgroup(
    ...(['GROUP', names.group, 'article', 'COUNT', 100, 'BLOCK', 5_000, 'STREAMS', names.stream, '>'] as const),
  )
  const entries = (Array.isArray(reply) && Array.isArray(reply[0]) ? reply[0][1] : []) as [string, string[]][]
  for (const [id, flat] of entries) {
    const data: Record<string, string> = {}
    for (let i = 0; i + 1 < flat.length; i += 2) data[flat[i] ?? ''] = flat[i + 1] ?? ''
    const lock = `lock:${data['request_hash'] ?? ''}`
    const token = randomUUID()
    if ((await redis.set(lock, token, 'PX', 30_000, 'NX')) !== 'OK') continue
    await queue.add(names.jobName, data, { ...jobOptions, jobId: data['request_hash'] ?? '' })
    await redis.eval(releaseLock, 1, lock, token)
    await redis.xack(names.stream, names.group, id)
  }
}
