/**
 * A trial. Consumers forward a load while they and Redis are killed and frozen at random. At the end every key that the stream
 * accepted must be exactly one job, and every broken entry one dead letter.
 *
 * Redis writes its append-only file with `appendfsync always`: every answered write is on disk, so a kill loses no promised
 * entry. With `everysec` a killed Redis may come back without its last second, since Redis writes late while a sync is under way.
 * A confirmed XADD could then be gone. No consumer can prevent that loss, and it would hide losses that a consumer can prevent.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { compilePipeline } from '../../api/compile.ts'
import { parsePipeline } from '../../api/validate.ts'
import { randomFrom } from '../../local/demo/load.ts'
import { outcomesOf } from '../../local/demo/outcomes.ts'
import { jobId } from '../../redis/keys.ts'
import { streamPlace, targetFields, targetOf } from '../../redis/placement.ts'
import { decodeDeadLetter } from '../../redis/record.ts'
import type { PathKind } from '../../redis/settle/path.ts'
import { startRedis } from '../../test/support/redis.ts'
import { projectRoot } from '../../test/support/root.ts'
import type { Scope } from '../../test/support/scope.ts'
import { eventually } from '../../test/support/wait.ts'
import { pipelineDocument } from '../forward/workload.ts'
import { countExecutions } from './executions.ts'
import { type FaultCounts, type FaultPlan, injectFaults } from './faults.ts'
import { startFleet } from './fleet.ts'
import { startProducer } from './load.ts'

interface TrialOptions {
  readonly plan: FaultPlan
  readonly path: PathKind
  readonly seed: number
  readonly perSecond: number
  readonly consumers: number
  readonly progress: (line: string) => void
}

interface TrialResult {
  readonly ok: boolean
  readonly seed: number
  readonly path: PathKind
  readonly faults: FaultCounts
  readonly entries: number
  readonly uniqueKeys: number
  readonly jobs: number
  /** Jobs beyond one per key. */
  readonly duplicateJobs: number
  /** Jobs of no key that was accepted: of broken entries, or under another id. */
  readonly strangeJobs: number
  /** Valid keys that became no job. */
  readonly lost: number
  readonly brokenEntries: number
  readonly deadLetters: number
  /** Dead letters beyond one per entry. */
  readonly doubleDeadLetters: number
  /** Valid entries among the dead letters. */
  readonly innocentDeadLetters: number
  /** Runs that BullMQ repeated because Redis was killed under its worker; not jobs of ours. */
  readonly reruns: number
  readonly consumersEndedByThemselves: number
  readonly seconds: number
  readonly drainSeconds: number
}

/** Time to finish once the faults have ended. */
const drainWithinMs = 120_000

export async function runTrial(scope: Scope, options: TrialOptions): Promise<TrialResult> {
  const begun = performance.now()
  const { seed, path, plan } = options
  const servers = [await startRedis(scope, { appendonly: true })]
  if (path === 'Split') servers.push(await startRedis(scope, { appendonly: true }))
  const [first, second = first] = servers
  if (first === undefined || second === undefined) throw new Error('there is no Redis')
  const document = trialDocument(first.url, path === 'Split' ? second.url : undefined)
  const pipeline = compilePipeline(parsePipeline(document))
  const config = await writeConfig(scope, document)
  const stream = first.client({ maxRetriesPerRequest: 1 })
  const queue = second.client({ maxRetriesPerRequest: null })
  const executions = await countExecutions(
    second.client({ maxRetriesPerRequest: null }),
    pipeline.sink.queue,
    pipeline.sink.prefix,
    options.progress,
  )
  scope.after(executions.close)
  const fleet = await startFleet(scope, join(projectRoot, 'cli', 'main.ts'), config, options.consumers, environmentOf(path))
  const producer = startProducer(stream, pipeline.source.stream, seed, options.perSecond)
  const faults = await injectFaults(plan, fleet, servers, randomFrom(seed + 1), options.progress)
  const { keys, broken } = await producer.stop()
  const drainBegan = performance.now()
  // A consumer that has seen no outage takes over entries of dead ones at once.
  await fleet.add()
  const place = streamPlace(pipeline)
  const queueKey = `${pipeline.sink.prefix}:${pipeline.sink.queue}`
  // A run that does not drain is a result: it is reported as not drained, and missing keys count as lost.
  const drained = await eventually(async () => await isDrained(stream, queue, place.stream, place.group, queueKey), {
    timeoutMs: drainWithinMs,
    intervalMs: 100,
  }).catch(() => false)
  const drainSeconds = (performance.now() - drainBegan) / 1_000
  const records = (await stream.xrangeBuffer(place.deadLetters, '-', '+')).map(([id, flat]) => decodeDeadLetter(String(id), flat))
  const entries = Number((await describeStream(stream, place.stream))['entries-added'])
  const { uniqueKeys, jobs, duplicateJobs, lost } = outcomesOf({
    scope: place.keys.scope,
    entries,
    keys: [...keys],
    executions: executions.jobs(),
    skipped: 0,
    // A valid key that ends as a dead letter breaks the promise: it counts as lost.
    deadKeys: [],
    maxReplicas: options.consumers,
  })
  const strangeJobs = executions.jobs().length - jobs
  const innocent = records.filter(({ idempotencyKey }) => keys.has(idempotencyKey)).length
  const double = records.length - new Set(records.map(({ originalId }) => originalId)).size
  for (const line of fleet.ended) options.progress(line)
  const { keys: marks } = targetOf(targetFields(pipeline))
  const doubled = new Set(executions.jobs().flatMap(([id, count]) => (count > 1 ? [id] : [])))
  for (const key of keys) {
    if (!doubled.has(jobId(marks.scope, key))) continue
    const [mark, life] = await Promise.all([queue.get(marks.mark(key)), queue.pttl(marks.mark(key))])
    options.progress(`more than one job of ${key}; its mark is of entry ${mark}, for ${life} ms more`)
  }
  // A broken entry whose reply was lost is in the stream twice. So each that was offered must have at least one dead letter, not
  // exactly one.
  const complete = drained && records.length - double - innocent >= broken
  return {
    // Where nothing was accepted nothing was tried.
    ok: complete && jobs > 0 && lost + duplicateJobs + strangeJobs + double + innocent + fleet.ended.length === 0,
    seed,
    path,
    faults,
    entries,
    uniqueKeys,
    jobs,
    duplicateJobs,
    strangeJobs,
    lost,
    brokenEntries: broken,
    deadLetters: records.length,
    doubleDeadLetters: double,
    innocentDeadLetters: innocent,
    reruns: executions.reruns,
    consumersEndedByThemselves: fleet.ended.length,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
    drainSeconds: Math.round(drainSeconds * 10) / 10,
  }
}

/** A BullMQ with scripts of unknown text: the consumers use the portable path. */
function environmentOf(path: PathKind): Readonly<Record<string, string>> {
  return path === 'Portable' ? { NODE_OPTIONS: `--import ${join(projectRoot, 'test', 'paths', 'altered.ts')}` } : {}
}

/** Short times, so that much happens; a `maxDeliveries` that repeated kills do not reach. */
function trialDocument(url: string, queueUrl: string | undefined) {
  const document = pipelineDocument(url)
  const { sink, source, ...spec } = document.spec
  const { jobOptions, ...bullmq } = sink.bullmq
  return {
    ...document,
    spec: {
      ...spec,
      source: { ...source, block: '1s' },
      reclaim: { minIdle: '1s', interval: '500ms' },
      delivery: { maxDeliveries: 1_000 },
      idempotency: { window: '24h', lockTTL: '1s' },
      sink: {
        bullmq: {
          ...bullmq,
          // Jobs are gone as soon as they are done: a second one of the same key would run.
          jobOptions: { ...jobOptions, removeOnComplete: { count: 0 } },
          ...(queueUrl === undefined ? {} : { redis: { url: queueUrl } }),
        },
      },
    },
  }
}

async function writeConfig(scope: Scope, document: object): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-trial-'))
  scope.after(async () => await rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'pipeline.yaml')
  await writeFile(file, JSON.stringify(document))
  return file
}

async function describeStream(redis: Redis, stream: string): Promise<Record<string, unknown>> {
  const flat = (await redis.xinfo('STREAM', stream)) as unknown[]
  return Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [String(flat[i * 2]), flat[i * 2 + 1]]))
}

async function isDrained(redis: Redis, queue: Redis, stream: string, group: string, queueKey: string): Promise<boolean> {
  const [pending] = (await redis.xpending(stream, group)) as [number]
  const groups = (await redis.xinfo('GROUPS', stream)) as unknown[][]
  const own = groups.find((flat) => flat[flat.indexOf('name') + 1] === group) ?? []
  const last = (await describeStream(redis, stream))['last-generated-id']
  const [wait, active] = await Promise.all([queue.llen(`${queueKey}:wait`), queue.llen(`${queueKey}:active`)])
  return pending === 0 && own[own.indexOf('last-delivered-id') + 1] === last && wait === 0 && active === 0
}
