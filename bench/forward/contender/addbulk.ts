/** Bare BullMQ: the same payloads, from memory, by `addBulk` in batches of 100. No stream, no deduplication, no acknowledgement. */
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { jobOptions, names, payload } from '../workload.ts'
import { input } from './input.ts'

const batchSize = 100
const redis = new Redis(input.url, { maxRetriesPerRequest: null })
const queue = new Queue(names.queue, { connection: redis, prefix: names.prefix })
const payloads = Array.from({ length: input.count }, (_, index) => payload(input.payload, index))
await queue.waitUntilReady()

let next = 0
const work = async () => {
  while (next < payloads.length) {
    const batch = payloads.slice(next, next + batchSize)
    next += batch.length
    await queue.addBulk(batch.map((data) => ({ name: names.jobName, data, opts: jobOptions })))
  }
}
await Promise.all(Array.from({ length: input.inFlight }, work))
// Stays, as the others do, until it is ended: its memory is read then.
setInterval(() => undefined, 60_000)
