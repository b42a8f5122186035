/**
 * One measurement of one contender. The stream of an empty Redis is filled, then the contender's process is started, and its jobs
 * are counted from outside until all are queued. The rate is taken between the first tenth and the last job, for every contender
 * alike. That excludes the start of a process, and its first, uncompiled rounds.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Redis } from 'ioredis'
import { type RunningProcess, startProcess } from '../../test/support/process.ts'
import type { RedisServer } from '../../test/support/redis.ts'
import { peakResidentBytes } from '../support/processmemory.ts'
import { createScope } from '../support/scope.ts'
import type { ContenderInput } from './contender/input.ts'
import { entryFields, names, type PayloadKind, pipelineDocument } from './workload.ts'

export type Contender = 'streampipeline' | 'article' | 'addBulk' | 'addBulk x3'

export interface Bench {
  readonly server: RedisServer
  /** The program that consumes. */
  readonly program: string
  /** V8 flags of the consumer, as its image sets them. */
  readonly consumerFlags: readonly string[]
  readonly consumerEnvironment: Readonly<Record<string, string>>
}

export interface Measurement {
  readonly perSecond: number
  readonly peakResidentBytes: number | undefined
}

const warmUpShare = 0.1
const pollMs = 3
const withinMs = 180_000

/** @param port of the server, or of a proxy before it */
export async function measure(
  bench: Bench,
  contender: Contender,
  kind: PayloadKind,
  count: number,
  port: number,
): Promise<Measurement> {
  const scope = createScope()
  try {
    const redis = bench.server.client()
    scope.after(() => redis.disconnect())
    await redis.flushall()
    if (contender === 'streampipeline' || contender === 'article') await fill(bench.server, kind, 0, count)
    const child = await startContender(scope, bench, contender, {
      url: `redis://127.0.0.1:${port}`,
      payload: kind,
      count,
      inFlight: 1,
    })
    let warm: { readonly jobs: number; readonly at: number } | undefined
    const end = await untilQueued(redis, child, count, (jobs, at) => {
      if (warm === undefined && jobs >= count * warmUpShare) warm = { jobs, at }
    })
    const perSecond = ((end.jobs - (warm?.jobs ?? 0)) / (end.at - (warm?.at ?? Number.NaN))) * 1_000
    return { perSecond, peakResidentBytes: await peakResidentBytes(child.pid) }
  } finally {
    await scope.close()
  }
}

/**
 * Counts the jobs every few milliseconds until there are `count`, and hands each reading to `seen`.
 *
 * @returns the last reading; `at` is of the clock of `performance`
 */
export async function untilQueued(
  redis: Redis,
  child: RunningProcess,
  count: number,
  seen: (jobs: number, at: number) => void = () => undefined,
): Promise<{ readonly jobs: number; readonly at: number }> {
  const wait = `${names.prefix}:${names.queue}:wait`
  const deadline = performance.now() + withinMs
  for (;;) {
    const jobs = await redis.llen(wait)
    const at = performance.now()
    seen(jobs, at)
    if (jobs >= count) return { jobs, at }
    if (at > deadline) throw new Error(`${jobs} of ${count} jobs are queued after ${withinMs} ms`)
    if (!child.running()) throw new Error(`the process ended before all jobs were queued:\n${child.stdout()}${child.stderr()}`)
    await sleep(pollMs)
  }
}

const contenderFile = (name: string) => fileURLToPath(new URL(`./contender/${name}.ts`, import.meta.url))

export async function startContender(
  scope: ReturnType<typeof createScope>,
  bench: Bench,
  contender: Contender,
  input: ContenderInput,
): Promise<RunningProcess> {
  switch (contender) {
    case 'streampipeline': {
      const folder = await mkdtemp(join(tmpdir(), 'streampipeline-bench-'))
      scope.after(async () => await rm(folder, { recursive: true, force: true }))
      const config = join(folder, 'pipeline.yaml')
      await writeFile(config, JSON.stringify(pipelineDocument(input.url)))
      const args = ['consume', '--config', config, '--name', 'bench', '--listen', '127.0.0.1:0']
      return await startProcess(scope, [...bench.consumerFlags, bench.program, ...args], { env: bench.consumerEnvironment })
    }
    case 'article':
      return await startProcess(scope, [contenderFile('article'), JSON.stringify(input)])
    case 'addBulk':
      return await startProcess(scope, [contenderFile('addbulk'), JSON.stringify(input)])
    case 'addBulk x3':
      return await startProcess(scope, [contenderFile('addbulk'), JSON.stringify({ ...input, inFlight: 3 })])
    default:
      return contender satisfies never
  }
}

/** Bytes sent before the replies are waited for, about. */
const chunkBytes = 2 ** 20

/** Adds entries `from` to `to` (exclusive) to the stream. */
export async function fill(server: RedisServer, kind: PayloadKind, from: number, to: number): Promise<void> {
  const redis = server.client()
  const entryBytes = entryFields(kind, from).reduce((sum, text) => sum + text.length, 0)
  const chunk = Math.ceil(chunkBytes / entryBytes)
  for (let at = from; at < to; at += chunk) {
    const pipeline = redis.pipeline()
    for (let index = at; index < Math.min(to, at + chunk); index++) pipeline.xadd(names.stream, '*', ...entryFields(kind, index))
    await pipeline.exec()
  }
  redis.disconnect()
}
