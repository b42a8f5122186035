/**
 * Rollback at speed: the mode of a pipeline is flipped again and again while applications dispatch. Two of them follow the mode in Redis; one is
 * pinned to each mode, as pods of an earlier rollout are. Producers also repeat recent requests of one another, so that equal keys
 * go both ways at once. Every key that was accepted must be executed as exactly one job, with its options.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { compilePipeline } from '../../api/compile.ts'
import { asFailure } from '../../api/errors.ts'
import { parsePipeline } from '../../api/validate.ts'
import { createDispatcher, type Dispatcher } from '../../client/dispatcher.ts'
import type { DispatchOptions } from '../../client/prepare.ts'
import { randomFrom } from '../../local/demo/load.ts'
import type { DispatchMode } from '../../redis/dispatchconfig.ts'
import { streamPlace } from '../../redis/placement.ts'
import { startRedis } from '../../test/support/redis.ts'
import { projectRoot } from '../../test/support/root.ts'
import type { Scope } from '../../test/support/scope.ts'
import { eventually } from '../../test/support/wait.ts'
import { payload, pipelineDocument } from '../forward/workload.ts'
import { countExecutions } from './executions.ts'
import { startFleet } from './fleet.ts'

interface FlipsOptions {
  readonly flips: number
  readonly seed: number
  readonly progress: (line: string) => void
}

interface FlipsResult {
  readonly ok: boolean
  readonly flips: number
  /** Requests that a dispatcher accepted, repetitions included. */
  readonly requests: number
  readonly keys: number
  /** Keys whose job was not executed. */
  readonly lost: number
  /** Jobs beyond the first of a key. */
  readonly duplicates: number
  /** Which way the requests of followers went. */
  readonly followed: Readonly<Record<DispatchMode, number>>
  /** Calls that failed, and were made again. */
  readonly repeated: number
  readonly seed: number
  readonly seconds: number
}

/** undefined: it follows the mode in Redis. */
const producers: readonly (DispatchMode | undefined)[] = [undefined, undefined, 'Stream', 'Direct']
const repeatShare = 0.3
/** How far back work is asked for again. */
const memory = 40
const mostAtOnce = 5
const mostPauseMs = 12
const drainWithinMs = 180_000

export async function tryFlips(scope: Scope, { flips, seed, progress }: FlipsOptions): Promise<FlipsResult> {
  const begun = performance.now()
  const server = await startRedis(scope)
  const document = flipsDocument(server.url)
  const pipeline = compilePipeline(parsePipeline(document))
  const { keys: space, stream, group } = streamPlace(pipeline)
  const redis = server.client({ maxRetriesPerRequest: null })
  const queueClient = server.client({ maxRetriesPerRequest: null })
  const executions = await countExecutions(queueClient, pipeline.sink.queue, pipeline.sink.prefix, progress)
  scope.after(executions.close)
  const fleet = await startFleet(scope, join(projectRoot, 'cli', 'main.ts'), await writeConfig(scope, document), 2)
  await eventually(async () => (await redis.hlen(space.consumers)) === 2, { timeoutMs: 120_000 })

  const load = createLoad(randomFrom(seed))
  const stopping = new AbortController()
  const running = producers.map(async (mode, index) => {
    const dispatcher = createDispatcher({ pipeline, env: {}, timeoutMs: 30_000, ...(mode === undefined ? {} : { mode }) })
    scope.after(() => dispatcher.close())
    await produce(dispatcher, mode === undefined, load, randomFrom(seed + 1 + index), stopping.signal)
  })
  const random = randomFrom(seed + 100)
  for (let flip = 1; flip <= flips; flip++) {
    await redis.set(space.mode, flip % 2 === 0 ? 'Stream' : 'Direct')
    await sleep(random() * mostPauseMs)
    if (flip % 100 === 0) progress(`${flip} of ${flips} flips, ${load.counts.requests} requests`)
  }
  stopping.abort()
  await Promise.all(running)

  const queueKey = `${pipeline.sink.prefix}:${pipeline.sink.queue}`
  // A request that does not drain counts as lost.
  await eventually(async () => await isDrained(redis, stream, group, queueKey), {
    timeoutMs: drainWithinMs,
    intervalMs: 100,
  }).catch(() => progress('not drained'))
  for (const line of fleet.ended) progress(line)
  const jobs = new Map(executions.jobs())
  const { requests, repeated, followed } = load.counts
  const lost = [...load.accepted].filter((id) => !jobs.has(id)).length
  const duplicates = [...jobs.values()].reduce((sum, count) => sum + count - 1, 0)
  const strange = [...jobs.keys()].filter((id) => !load.accepted.has(id)).length
  const tried = followed.Stream > 0 && followed.Direct > 0
  return {
    ok: tried && lost + duplicates + strange + fleet.ended.length === 0,
    flips,
    requests,
    keys: load.accepted.size,
    lost,
    duplicates,
    followed,
    repeated,
    seed,
    seconds: Math.round((performance.now() - begun) / 1_000),
  }
}

/** What all producers share. */
function createLoad(random: () => number) {
  const accepted = new Set<string>()
  const counts = { requests: 0, repeated: 0, followed: { Stream: 0, Direct: 0 } }
  let next = 0
  return {
    /** Ids of the jobs of accepted requests. */
    accepted,
    counts,
    /** New work, or work that some producer has asked for just now. */
    index: () => (next > 0 && random() < repeatShare ? Math.max(0, next - 1 - Math.floor(random() * memory)) : next++),
  }
}

type Load = ReturnType<typeof createLoad>

/** Equal work has equal options. */
const optionsOf = (index: number): DispatchOptions =>
  [{}, { name: 'report' }, { priority: 1 + (index % 5) }, { delay: index % 20 }, {}][index % 5] ?? {}

async function produce(
  dispatcher: Dispatcher<object>,
  follows: boolean,
  load: Load,
  random: () => number,
  stopping: AbortSignal,
) {
  while (!stopping.aborted) {
    const indices = Array.from({ length: 1 + Math.floor(random() * mostAtOnce) }, load.index)
    for (const { jobId, mode } of await persistently(dispatcher, indices, load)) {
      load.accepted.add(jobId)
      load.counts.requests += 1
      if (follows) load.counts.followed[mode] += 1
    }
    await sleep(random() * mostPauseMs)
  }
}

/** As an application that repeats a failed call. */
async function persistently(dispatcher: Dispatcher<object>, indices: readonly number[], { counts }: Load) {
  for (;;) {
    try {
      return await dispatcher.dispatchMany(
        indices.map((index) => payload('200B', index)),
        indices.map(optionsOf),
      )
    } catch (thrown) {
      if (!asFailure(thrown).retryable) throw thrown
      counts.repeated += 1
    }
  }
}

/** Jobs are gone as soon as they are done: a second one of the same key would run. */
function flipsDocument(url: string) {
  const document = pipelineDocument(url)
  const { sink, ...spec } = document.spec
  const allow = { names: ['report'], priority: {}, maxDelay: '1s' }
  const jobOptions = { ...sink.bullmq.jobOptions, removeOnComplete: { count: 0 } }
  return { ...document, spec: { ...spec, sink: { bullmq: { ...sink.bullmq, jobOptions, allow } } } }
}

async function writeConfig(scope: Scope, document: object): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-flips-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'pipeline.yaml')
  await writeFile(file, JSON.stringify(document))
  return file
}

async function isDrained(redis: Redis, stream: string, group: string, queueKey: string): Promise<boolean> {
  const [pending] = await redis.xpending(stream, group)
  const groups = (await redis.xinfo('GROUPS', stream)) as unknown[][]
  const own = groups.find((flat) => flat[flat.indexOf('name') + 1] === group) ?? []
  const [last] = await redis.xrevrange(stream, '+', '-', 'COUNT', 1)
  const lists = await Promise.all([redis.llen(`${queueKey}:wait`), redis.llen(`${queueKey}:active`)])
  const sets = await Promise.all([redis.zcard(`${queueKey}:prioritized`), redis.zcard(`${queueKey}:delayed`)])
  const isRead = last === undefined || own[own.indexOf('last-delivered-id') + 1] === last[0]
  return pending === 0 && isRead && [...lists, ...sets].every((count) => count === 0)
}
