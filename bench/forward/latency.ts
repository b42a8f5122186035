/**
 * The time from entry to job under an even load. The queue's event stream has the time at which each job was added. Both times are ids from
 * the server, so no other clock is involved. They are exact to one millisecond.
 *
 * Beside it stands a control, at the same rate on the same machine: a reader of the group that only looks at the clock. Its delay is what
 * machine, server and load cause by themselves.
 */
import type { Redis } from 'ioredis'
import { createScope } from '../support/scope.ts'
import { median, percentile } from '../support/statistics.ts'
import type { Bench } from './bench.ts'
import { startContender, startControl } from './contenders.ts'
import { untilQueued } from './measure.ts'
import { addPaced, entriesOf, type Pace } from './pace.ts'
import { names } from './workload.ts'

interface Delays {
  readonly entries: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Medians over alternating rounds. */
export interface Latency {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly controlP50Ms: number
  readonly controlP99Ms: number
  readonly rounds: readonly { readonly own: Delays; readonly control: Delays }[]
}

/** A paced load, and the consumer's output meanwhile. */
interface PacedRun {
  readonly delays: Delays
  /** The consumer's whole stdout. */
  readonly output: string
  /** From the first measured entry to the last job, in milliseconds since the consumer's start. */
  readonly measured: { readonly fromMs: number; readonly toMs: number }
}

const warmUpMs = 1_500

/** @param between runs after each round */
export async function measureLatency(
  bench: Bench,
  pace: Pace,
  rounds: number,
  between: () => Promise<unknown> = async () => undefined,
): Promise<Latency> {
  const found: { readonly own: Delays; readonly control: Delays }[] = []
  for (let round = 0; round < rounds; round++) {
    const ownFirst = round % 2 === 0 ? (await runPaced(bench, pace)).delays : undefined
    const control = await runControl(bench, pace)
    found.push({ own: ownFirst ?? (await runPaced(bench, pace)).delays, control })
    await between()
  }
  return {
    perSecond: pace.perSecond,
    p50Ms: median(found.map(({ own }) => own.p50Ms)),
    p99Ms: median(found.map(({ own }) => own.p99Ms)),
    controlP50Ms: median(found.map(({ control }) => control.p50Ms)),
    controlP99Ms: median(found.map(({ control }) => control.p99Ms)),
    rounds: found,
  }
}

const delaysOf = (milliseconds: readonly number[]): Delays => ({
  entries: milliseconds.length,
  p50Ms: percentile(milliseconds, 0.5),
  p99Ms: percentile(milliseconds, 0.99),
})

export async function runPaced(bench: Bench, pace: Pace): Promise<PacedRun> {
  const { keyHash } = await import('../../redis/payload/idempotency.ts')
  const scope = createScope()
  try {
    const redis = bench.server.client()
    scope.after(() => redis.disconnect())
    await redis.flushall()
    const meta = `${names.prefix}:${names.queue}:meta`
    // Else BullMQ trims the events of all but the last ten thousand jobs.
    await redis.hset(meta, 'opts.maxLenEvents', '10000000')
    const started = performance.now()
    const child = await startContender(scope, bench, 'streampipeline', { url: bench.server.url, payload: pace.payload, count: 0 })
    await child.output(/"running"/)
    const warm = await addPaced(redis, { ...pace, forMs: warmUpMs }, 0)
    const fromMs = performance.now() - started
    const entries = await addPaced(redis, pace, warm.length)
    const { at } = await untilQueued(redis, [child], warm.length + entries.length)
    // V8's output stays in a buffer of the C library until the process ends.
    await child.stop()
    const addedAt = await additions(redis)
    const delays = entries.map(({ id, key }) => {
      const added = addedAt.get(keyHash([key]))
      if (added === undefined) throw new Error(`no event says when the job of entry ${id} was added`)
      return added - Number(id.split('-')[0])
    })
    return { delays: delaysOf(delays), output: child.stdout(), measured: { fromMs, toMs: at - started } }
  } finally {
    await scope.close()
  }
}

async function runControl(bench: Bench, pace: Pace): Promise<Delays> {
  const scope = createScope()
  try {
    const redis = bench.server.client()
    scope.after(() => redis.disconnect())
    await redis.flushall()
    const warmUp = { ...pace, forMs: warmUpMs }
    const count = entriesOf(warmUp) + entriesOf(pace)
    const child = await startControl(scope, { url: bench.server.url, payload: pace.payload, count })
    await child.output(/"running"/)
    const warm = await addPaced(redis, warmUp, 0)
    await addPaced(redis, pace, warm.length)
    const [, list = '[]'] = await child.output(/^delays (\[.*\])$/m)
    return delaysOf((JSON.parse(list) as number[]).slice(warm.length))
  } finally {
    await scope.close()
  }
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
