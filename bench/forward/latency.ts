/**
 * The time from entry to job at half load. Entries come evenly, at half the measured rate. The queue's event stream has the time
 * at which each job was added. Both times are ids from the server, so no other clock is involved. They are exact to one
 * millisecond.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { createScope } from '../support/scope.ts'
import { percentile } from '../support/statistics.ts'
import { type Bench, startContender, untilQueued } from './measure.ts'
import { entryFields, names, type PayloadKind } from './workload.ts'

export interface Latency {
  readonly perSecond: number
  readonly entries: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** A paced load, and the consumer's output meanwhile. */
export interface PacedRun {
  readonly latency: Latency
  /** The consumer's whole stdout. */
  readonly output: string
  /** When the measured entries came, to the last job: milliseconds since the consumer's start. */
  readonly measured: { readonly fromMs: number; readonly toMs: number }
}

const warmUpMs = 1_500

export const measureLatency = async (bench: Bench, kind: PayloadKind, perSecond: number, forMs: number): Promise<Latency> =>
  (await runPaced(bench, kind, perSecond, forMs)).latency

export async function runPaced(bench: Bench, kind: PayloadKind, perSecond: number, forMs: number): Promise<PacedRun> {
  const scope = createScope()
  try {
    const redis = bench.server.client()
    scope.after(() => redis.disconnect())
    await redis.flushall()
    const meta = `${names.prefix}:${names.queue}:meta`
    // Else BullMQ trims the events of all but the last ten thousand jobs.
    await redis.hset(meta, 'opts.maxLenEvents', '10000000')
    const input = { url: bench.server.url, payload: kind, count: 0, inFlight: 1 }
    const started = performance.now()
    const child = await startContender(scope, bench, 'streampipeline', input)
    await child.output(/"running"/)
    const warm = await pace(redis, kind, perSecond, warmUpMs, 0)
    const fromMs = performance.now() - started
    const entries = await pace(redis, kind, perSecond, forMs, warm.length)
    const { at } = await untilQueued(redis, child, warm.length + entries.length)
    // V8's output stays in a buffer of the C library until the process ends.
    await child.stop()
    const addedAt = await additions(redis)
    const delays = entries.map(({ id, hash }) => {
      const added = addedAt.get(hash)
      if (added === undefined) throw new Error(`no event says when the job of entry ${id} was added`)
      return added - Number(id.split('-')[0])
    })
    return {
      latency: { perSecond, entries: delays.length, p50Ms: percentile(delays, 0.5), p99Ms: percentile(delays, 0.99) },
      output: child.stdout(),
      measured: { fromMs, toMs: at - started },
    }
  } finally {
    await scope.close()
  }
}

interface Paced {
  readonly id: string
  /** End of its job's id. */
  readonly hash: string
}

/** Adds entries evenly, from the payload `first` on. A late tick adds all entries that are due by then. */
async function pace(redis: Redis, kind: PayloadKind, perSecond: number, forMs: number, first: number): Promise<readonly Paced[]> {
  const { keyHash } = await import('../../redis/payload/idempotency.ts')
  const total = Math.floor((perSecond * forMs) / 1_000)
  const fields = Array.from({ length: total }, (_, index) => entryFields(kind, first + index))
  const begun = performance.now()
  const sent: Promise<unknown>[] = []
  for (let next = 0; next < total; ) {
    const due = Math.min(total, Math.ceil(((performance.now() - begun) * perSecond) / 1_000))
    if (due > next) {
      const pipeline = redis.pipeline()
      for (; next < due; next++) pipeline.xadd(names.stream, '*', ...(fields[next] ?? []))
      sent.push(pipeline.exec())
    }
    await sleep(1)
  }
  const replies = (await Promise.all(sent)).flat() as [unknown, string][]
  return replies.map(([, id], index) => ({ id, hash: keyHash([fields[index]?.[3] ?? '']) }))
}

/** When each job was added, by the key hash that its id ends with. */
async function additions(redis: Redis): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>()
  let start = '-'
  for (;;) {
    const page = await redis.xrange(`${names.prefix}:${names.queue}:events`, start, '+', 'COUNT', 5_000)
    for (const [id, flat] of page) {
      const jobId = flat[flat.indexOf('jobId') + 1]
      if (flat[flat.indexOf('event') + 1] === 'added' && jobId !== undefined)
        found.set(jobId.slice(-43), Number(id.split('-')[0]))
    }
    const last = page.at(-1)?.[0]
    if (last === undefined) return found
    start = `(${last}`
  }
}
