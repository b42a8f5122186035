/**
 * Scale-downs under load. Pipelines scale up and down at random while entries come in, on a real API server, with Kubernetes' own
 * controllers and the operator in a process of its own. Pods are simulated, their consumers are real. At the end every entry must
 * be exactly one job. No entry of a deleted pod may wait for a minute.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { compilePipeline } from '../../api/compile.ts'
import { parsePipeline } from '../../api/validate.ts'
import { randomFrom } from '../../local/demo/load.ts'
import { outcomesOf } from '../../local/demo/outcomes.ts'
import { type KubernetesObject, resourcePath } from '../../operator/kubernetes/objects.ts'
import { pipelineType } from '../../operator/plan/kinds.ts'
import { nameLabel } from '../../operator/plan/names.ts'
import type { PodObject } from '../../operator/plan/observed.ts'
import { replyCode } from '../../redis/connect/replies.ts'
import { scopeOf } from '../../redis/keys.ts'
import { keyHash } from '../../redis/payload/idempotency.ts'
import type { Scope } from '../../test/support/scope.ts'
import { eventually } from '../../test/support/wait.ts'
import { entryFields, payload, pipelineDocument } from '../forward/workload.ts'
import { countExecutions } from './executions.ts'
import { startKubelet } from './kubelet.ts'
import { startOperated } from './operated.ts'
import { runAsProcess, runInThisProcess, type Tally } from './podprogram.ts'

interface ScaleDownOptions {
  readonly scaleDowns: number
  /** Pipelines that go up and down at the same time. */
  readonly pipelines: number
  /** Consumers as processes of their own, not in this one. */
  readonly processes: boolean
  readonly seed: number
  readonly progress: (line: string) => void
}

interface ScaleDownResult {
  readonly ok: boolean
  readonly seed: number
  readonly scaleDowns: number
  /** Deleted pods, and how many of them had no deletion cost. */
  readonly podsGone: number
  readonly unmarked: number
  readonly entries: number
  readonly jobs: number
  readonly duplicateJobs: number
  /** Jobs of no entry's key. */
  readonly strangeJobs: number
  readonly lost: number
  /** Entries handed back by deleted pods, and forwarded a second time (seen by marks; no second job). */
  readonly handedBack: number
  readonly forwardedTwice: number
  /** Longest time for which a deleted pod had entries under its name. */
  readonly longestOrphanSeconds: number
  readonly failures: readonly string[]
  readonly seconds: number
}

const namespace = 'default'
const most = 5
const burst = 200
const orphanBarSeconds = 60
const merge = 'application/merge-patch+json'
const patience = { timeoutMs: 120_000, intervalMs: 50 }

export async function runScaleDowns(scope: Scope, options: ScaleDownOptions): Promise<ScaleDownResult> {
  const begun = performance.now()
  const { seed, progress } = options
  const operated = await startOperated(scope, 'scaledowns', { controllers: true })
  const { folder, client, transport } = operated

  const tally: Tally = { duplicates: 0, handedBack: 0, unretired: 0, failures: [] }
  const documents = new Map<string, object>()
  const kubelet = startKubelet(scope, transport, async (pod) => {
    const document = documents.get(pod.metadata.labels?.[nameLabel] ?? '')
    if (document === undefined) throw new Error(`${pod.metadata.name} is no consumer's pod`)
    if (options.processes) return await runAsProcess(scope, folder, document, pod, tally)
    return await runInThisProcess(compilePipeline(parsePipeline(document)), pod, tally)
  })
  const podsOf = (name: string) => kubelet.pods.list().filter(({ metadata }) => metadata.labels?.[nameLabel] === name)
  const goneOf = (name: string) => kubelet.departed.filter(({ pod }) => pod.metadata.labels?.[nameLabel] === name).length

  const trial: PipelineTrial = {
    scope,
    options,
    progress,
    random: randomFrom(seed),
    operated,
    kubelet,
    tally,
    documents,
    podsOf,
    goneOf,
    done: 0,
  }
  const names = Array.from({ length: options.pipelines }, (_, n) => `p${n}`)
  const watching = new AbortController()
  const orphans = watchOrphans(client, names, podsOf, watching.signal)
  // Awaited at the end: until then its failure must not end the process.
  orphans.catch(() => undefined)
  const ledgers = await Promise.all(names.map((name) => upAndDown(trial, name)))
  watching.abort()
  const longestOrphanSeconds = Math.round((await orphans) / 100) / 10
  return resultOf(trial, ledgers, longestOrphanSeconds, begun)
}

/** Adds bursts, and deletes pods between them, until the trial has its scale-downs. Returns the pipeline's account. */
async function upAndDown(trial: PipelineTrial, name: string) {
  const { scope, operated, kubelet, documents, options, progress, random, goneOf } = trial
  const { redis, client, transport } = operated
  const path = resourcePath(pipelineType, namespace, name)
  const scaleTo = (replicas: number) =>
    transport.request({ method: 'PATCH', path, body: { spec: { replicas } }, contentType: merge })
  const made = await transport.request({
    method: 'POST',
    path: resourcePath(pipelineType, namespace),
    body: documentOf(name, redis.url),
  })
  documents.set(name, made as object)
  const queue = redis.client({ maxRetriesPerRequest: null })
  const executions = await countExecutions(queue, name, 'bull', progress)
  scope.after(executions.close)
  let added = 0
  const add = async () => {
    const pipe = client.pipeline()
    for (let n = 0; n < burst; n++) pipe.xadd(`${name}:jobs`, '*', ...entryFields('200B', added++))
    await pipe.exec()
  }
  let replicas = 0
  const settled = () => settledAt(trial, name, replicas)
  while (trial.done < options.scaleDowns) {
    if (replicas <= 1) {
      replicas = most
      await scaleTo(replicas)
      await settled()
    }
    trial.done += 1
    const going = 1 + Math.floor(random() * (replicas - 1))
    const gone = goneOf(name)
    replicas -= going
    await add()
    await scaleTo(replicas)
    await add()
    await eventually(() => goneOf(name) >= gone + going, patience)
    await settled()
    if (trial.done % 100 === 0)
      progress(`${trial.done} scale-downs, ${kubelet.departed.length} pods gone, ${trial.tally.handedBack} entries handed back`)
  }
  await eventually(async () => await isDrained(client, name), patience)
  const keys = Array.from({ length: added }, (_, n) => keyHash([payload('200B', n).request_hash]))
  const counted = { executions: executions.jobs(), skipped: 0, deadKeys: [], maxReplicas: most }
  const ledger = outcomesOf({ scope: scopeOf(`${name}:jobs`, name), entries: added, keys, ...counted })
  return { ...ledger, strangeJobs: counted.executions.length - ledger.jobs }
}

async function settledAt({ operated, kubelet, tally, podsOf }: PipelineTrial, name: string, replicas: number): Promise<void> {
  const isSettled = () => podsOf(name).filter(isReady).length === replicas && podsOf(name).length === replicas
  await eventually(isSettled, patience).catch(async (cause: unknown) => {
    const kinds = 'streampipelines,deployments,replicasets,pods'
    const listed = await operated.server.kubectl(['get', kinds, '-l', `${nameLabel}=${name}`, '-o', 'wide'])
    const log = operated.operator.stdout().slice(-2_000)
    const lines = [`${name} has not ${replicas} pods`, ...kubelet.failures, ...tally.failures, listed.stdout, log]
    throw new Error(lines.join('\n'), { cause })
  })
}

/** One trial: the cluster, the pods that left it, and the scale-downs so far. */
interface PipelineTrial {
  readonly scope: Scope
  readonly options: ScaleDownOptions
  readonly progress: ScaleDownOptions['progress']
  readonly random: () => number
  readonly operated: Awaited<ReturnType<typeof startOperated>>
  readonly kubelet: ReturnType<typeof startKubelet>
  readonly tally: Tally
  readonly documents: Map<string, object>
  readonly podsOf: (name: string) => readonly PodObject[]
  readonly goneOf: (name: string) => number
  done: number
}

type Ledger = Awaited<ReturnType<typeof upAndDown>>

function resultOf(
  trial: PipelineTrial,
  ledgers: readonly Ledger[],
  longestOrphanSeconds: number,
  begun: number,
): ScaleDownResult {
  const { kubelet, tally, options } = trial
  const sum = (read: (ledger: Ledger) => number) => ledgers.reduce((total, ledger) => total + read(ledger), 0)
  const failures = [...kubelet.failures, ...tally.failures]
  const unmarked = kubelet.departed.filter(({ cost }) => cost === undefined || cost >= 0).length
  const [entries, jobs, duplicateJobs, strangeJobs, lost] = [
    sum((ledger) => ledger.entries),
    sum((ledger) => ledger.jobs),
    sum((ledger) => ledger.duplicateJobs),
    sum((ledger) => ledger.strangeJobs),
    sum((ledger) => ledger.lost),
  ]
  return {
    // Without entries, or without deleted pods, nothing was tried.
    ok:
      jobs === entries &&
      jobs > 0 &&
      kubelet.departed.length > 0 &&
      duplicateJobs + strangeJobs + lost + unmarked + failures.length === 0 &&
      longestOrphanSeconds < orphanBarSeconds,
    seed: options.seed,
    scaleDowns: trial.done,
    podsGone: kubelet.departed.length,
    unmarked,
    entries,
    jobs,
    duplicateJobs,
    strangeJobs,
    lost,
    handedBack: tally.handedBack,
    forwardedTwice: tally.duplicates,
    longestOrphanSeconds,
    failures,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
  }
}

function isReady({ metadata, status }: PodObject): boolean {
  const ready = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true
  return ready && metadata.deletionTimestamp === undefined
}

/** Longest, in milliseconds, that a name without a pod was seen to have pending entries. */
async function watchOrphans(
  client: Redis,
  names: readonly string[],
  podsOf: (name: string) => readonly PodObject[],
  stop: AbortSignal,
) {
  const since = new Map<string, number>()
  let longest = 0
  while (!stop.aborted) {
    for (const name of names) {
      const pods = new Set(podsOf(name).map(({ metadata }) => metadata.name))
      for (const [consumer] of await holders(client, name)) {
        if (pods.has(consumer)) continue
        const first = since.get(consumer) ?? performance.now()
        since.set(consumer, first)
        longest = Math.max(longest, performance.now() - first)
      }
    }
    await sleep(250)
  }
  return longest
}

/** Consumers with pending entries. */
async function holders(client: Redis, name: string): Promise<readonly (readonly [name: string, pending: number])[]> {
  try {
    const [, , , rows] = (await client.xpending(`${name}:jobs`, name)) as [number, string, string, [string, string][] | null]
    return (rows ?? []).map(([consumer, pending]) => [consumer, Number(pending)])
  } catch (thrown) {
    // The first consumer creates the group. After any other failure nothing is known of entries of deleted pods.
    if (replyCode(thrown) === 'NOGROUP') return []
    throw thrown
  }
}

async function isDrained(client: Redis, name: string): Promise<boolean> {
  const queue = `bull:${name}`
  const groups = (await client.xinfo('GROUPS', `${name}:jobs`)) as unknown[][]
  const fields = groups[0] ?? []
  const [wait, active, last] = await Promise.all([
    client.llen(`${queue}:wait`),
    client.llen(`${queue}:active`),
    client.xrevrange(`${name}:jobs`, '+', '-', 'COUNT', 1),
  ])
  const of = (field: string) => fields[fields.indexOf(field) + 1]
  return of('pending') === 0 && (last[0] === undefined || of('last-delivered-id') === last[0][0]) && wait + active === 0
}

/** The bench's pipeline, scaled by hand. */
function documentOf(name: string, url: string): KubernetesObject {
  const { spec, ...document } = pipelineDocument(url)
  const { jobOptions, ...bullmq } = spec.sink.bullmq
  return {
    ...document,
    metadata: { name, namespace },
    spec: {
      ...spec,
      source: { stream: `${name}:jobs`, group: name },
      replicas: most,
      scaling: { policy: 'Manual' },
      // Jobs are gone as soon as they are done: a second one of the same key would run.
      sink: { bullmq: { ...bullmq, queue: name, jobOptions: { ...jobOptions, removeOnComplete: { count: 0 } } } },
    },
  } as KubernetesObject
}
