/**
 * A real BullMQ worker that counts its runs. Two jobs of one id differ in their timestamp, which the adder sets: two timestamps
 * under one id are two jobs, a duplicate. Two runs under one timestamp are BullMQ's: it runs a job again when the worker's report
 * of its end was lost with Redis.
 */
import { Worker } from 'bullmq'
import type { Redis } from 'ioredis'

interface Executions {
  /** Jobs, not runs, by job id. */
  jobs(): readonly (readonly [id: string, jobs: number])[]
  /** Runs beyond the first of the same job. */
  readonly reruns: number
  close(): Promise<void>
}

/** @param report gets a line for each job that is another of the same id, while its traces are fresh */
export async function countExecutions(
  redis: Redis,
  queue: string,
  prefix: string,
  report: (line: string) => void,
): Promise<Executions> {
  const seen = new Map<string, Set<number>>()
  let reruns = 0
  const run = (id: string, timestamp: number) => {
    const timestamps = seen.get(id) ?? new Set()
    if (timestamps.has(timestamp)) reruns += 1
    else if (timestamps.size > 0) report(`another job ${id}: made at ${timestamp}, and at ${[...timestamps].join(', ')} before`)
    seen.set(id, timestamps.add(timestamp))
  }
  const worker = new Worker(
    queue,
    async (job) => {
      run(job.id ?? '', job.timestamp)
    },
    {
      connection: redis,
      prefix,
      concurrency: 32,
      // Stalled jobs, which a killed Redis leaves, come back soon and are never given up.
      lockDuration: 3_000,
      stalledInterval: 1_000,
      maxStalledCount: 1_000_000,
      // By default BullMQ waits 15 s after a failed command. That timer outlives close().
      runRetryDelay: 1_000,
    },
  )
  worker.on('error', ignoreOutage)
  await worker.waitUntilReady()
  return {
    jobs: () => [...seen].map(([id, timestamps]) => [id, timestamps.size] as const),
    get reruns() {
      return reruns
    },
    async close() {
      await worker.close(true)
      // BullMQ's pause of 5 s after a failed stalled check also outlives close(), and nothing ends it.
      await worker['stalledCheckerPromise']
    },
  }
}

/** Redis is killed on purpose. */
function ignoreOutage() {}
