/**
 * One measurement of one contender. The source of an empty Redis is filled, then the contender's process is started, and its jobs
 * are counted from outside until all are queued and the source holds none of them: a contender that acknowledges late is measured
 * until it has acknowledged. Rate and Redis' work are taken between the first tenth and the last job, for every contender alike.
 * That excludes the start of a process, and its first, uncompiled rounds.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { RunningProcess } from '../../test/support/process.ts'
import { peakResidentBytes } from '../support/processmemory.ts'
import { mainThreadMicroseconds } from '../support/redisinfo.ts'
import { createScope } from '../support/scope.ts'
import type { Bench } from './bench.ts'
import { type Contender, kinds, startContender } from './contenders.ts'
import { fillSource, type Source } from './sources.ts'
import { names, type PayloadKind } from './workload.ts'

export interface Task {
  readonly contender: Contender
  readonly payload: PayloadKind
  /** Jobs. */
  readonly count: number
  /** Of the server, or of a proxy before it. */
  readonly port: number
  /** The pipeline's; default: the product's. */
  readonly batchSize?: number
  /** Consumers that share the work; default 1. */
  readonly processes?: number
}

export interface Measurement {
  readonly perSecond: number
  /** CPU time of Redis' main thread for a job: reading, adding, marking and acknowledging. NaN where the server does not count it. */
  readonly redisMicroseconds: number
  /** Of the first process. */
  readonly peakResidentBytes: number | undefined
}

const warmUpShare = 0.1
const pollMs = 3
const withinMs = 180_000

export async function measure(bench: Bench, task: Task): Promise<Measurement> {
  const { contender, payload, count, port, batchSize, processes = 1 } = task
  const scope = createScope()
  try {
    const redis = bench.server.client()
    scope.after(() => redis.disconnect())
    await redis.flushall()
    await fillSource(bench.server, kinds[contender].source, payload, 0, count)
    const input = { url: `redis://127.0.0.1:${port}`, payload, count, ...(batchSize === undefined ? {} : { batchSize }) }
    const children = await Promise.all(
      Array.from({ length: processes }, async (_, place) => await startContender(scope, bench, contender, input, place)),
    )
    // Else the rate would be that of the first one to start.
    if (processes > 1) await Promise.all(children.map(async (child) => await child.output(/"running"/)))
    await untilQueued(redis, children, count * warmUpShare)
    const warm = await reading(redis)
    await untilQueued(redis, children, count)
    await untilSettled(redis, kinds[contender].source)
    const end = await reading(redis)
    const jobs = end.jobs - warm.jobs
    if (jobs === 0) throw new Error(`${count} jobs are too few for ${contender}: all were queued between two readings`)
    return {
      perSecond: (jobs / (end.at - warm.at)) * 1_000,
      redisMicroseconds: (end.redisMicroseconds - warm.redisMicroseconds) / jobs,
      peakResidentBytes: await peakResidentBytes(children[0]?.pid ?? -1),
    }
  } finally {
    await scope.close()
  }
}

const waiting = `${names.prefix}:${names.queue}:wait`

/** Jobs and Redis' work, of one moment. `at` is of the clock of `performance`. */
async function reading(redis: Redis) {
  const replies = await redis.multi().llen(waiting).info('cpu').exec()
  const at = performance.now()
  const [[, jobs], [, info]] = replies as [[unknown, number], [unknown, string]]
  return { jobs, at, redisMicroseconds: mainThreadMicroseconds(info) }
}

/**
 * Counts the jobs every few milliseconds until there are `count`.
 *
 * @returns the last reading; `at` is of the clock of `performance`
 */
export async function untilQueued(
  redis: Redis,
  children: readonly RunningProcess[],
  count: number,
): Promise<{ readonly jobs: number; readonly at: number }> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const jobs = await redis.llen(waiting)
    const at = performance.now()
    if (jobs >= count) return { jobs, at }
    if (at > deadline) throw new Error(`${jobs} of ${count} jobs are queued after ${withinMs} ms`)
    const ended = children.find((child) => !child.running())
    if (ended !== undefined) {
      throw new Error(`the process ended before all jobs were queued:\n${ended.stdout()}${ended.stderr()}`)
    }
    await sleep(pollMs)
  }
}

/** Waits until the source holds no request that is under way. */
async function untilSettled(redis: Redis, source: Source): Promise<void> {
  const deadline = performance.now() + withinMs
  for (let open = await underWay(redis, source); open > 0; open = await underWay(redis, source)) {
    if (performance.now() > deadline) throw new Error(`${open} requests are still under way after ${withinMs} ms`)
    await sleep(pollMs)
  }
}

async function underWay(redis: Redis, source: Source): Promise<number> {
  switch (source) {
    case 'Entries':
    case 'Documents':
      return Number((await redis.xpending(names.stream, names.group))[0])
    case 'Queue':
      return await redis.llen(`${names.prefix}:${names.sourceQueue}:active`)
    case 'Memory':
      return 0
    default:
      return source satisfies never
  }
}
