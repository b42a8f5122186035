/**
 * A BullMQ worker that adds each job of one queue to another, under the request's own id, which removes duplicates. It moves 100 jobs at once,
 * and the first queue keeps no finished job. More jobs at once, or kept jobs, gain nothing.
 */
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { jobOptions, names } from '../workload.ts'
import { input } from './input.ts'

const concurrency = 100
const redis = new Redis(input.url, { maxRetriesPerRequest: null })
const queue = new Queue(names.queue, { connection: redis, prefix: names.prefix })
const worker = new Worker<{ readonly request_hash: string }>(
  names.sourceQueue,
  async ({ data }) => {
    await queue.add(names.jobName, data, { ...jobOptions, jobId: data.request_hash })
  },
  { connection: redis.duplicate(), prefix: names.prefix, concurrency, removeOnComplete: { count: 0 } },
)
worker.on('error', (thrown) => console.error(thrown))
