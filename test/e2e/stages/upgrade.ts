/**
 * From the release before, with its own chart, operator and consumers, to this one, under traffic. A pipeline that names its consumer
 * image keeps its pods; the other one's are replaced once, by the new image.
 */
import assert from 'node:assert/strict'
import type { Redis } from 'ioredis'
import { accounted } from '../account.ts'
import { apply, get, helm, kubectl } from '../commands.ts'
import { documented } from '../documented.ts'
import { earlierChart, earlierConsumer } from '../earlier.ts'
import { patience, until } from '../patience.ts'
import {
  consumerPods,
  isReady,
  operatorNamespace,
  payload,
  pipelinesNamespace,
  release,
  restartsOf,
  untilStatus,
} from '../pipeline.ts'
import type { Report } from '../stage.ts'
import { createTraffic } from '../traffic.ts'
import { acted, withoutRestarts } from './releases.ts'

const perSecond = 100
/** By the name of the pipeline, which is that of its group and queue. */
const names = ['followed', 'kept'] as const
type Name = (typeof names)[number]
const streamOf = (name: Name) => `${name}:jobs`

/** As one wrote it then. */
const pipelineOf = (name: Name): object => ({
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: streamOf(name), group: name },
    payload,
    sink: { bullmq: { queue: name, maxWaiting: 1_000_000 } },
    scaling: { minReplicas: 1, maxReplicas: 1 },
    ...(name === 'kept' ? { consumer: { image: earlierConsumer } } : {}),
  },
})

interface Definition {
  readonly metadata: { readonly uid: string }
  readonly spec: { readonly versions: readonly { readonly schema: unknown }[] }
}

const definition = async () => await get<Definition>('crd', 'streampipelines.streampipeline.dev')

const oneReady = async (name: Name): Promise<void> => {
  await untilStatus('one ready', ({ replicas, readyReplicas }) => replicas === 1 && readyReplicas === 1, 60_000, name)
}

export async function installEarlier(): Promise<void> {
  await helm('install', release, earlierChart, '-n', operatorNamespace, '--wait', '--timeout', patience(90))
  for (const name of names) await apply(pipelineOf(name), pipelinesNamespace)
  await Promise.all(names.map(oneReady))
}

export async function upgradeFromEarlier(report: Report, redis: Redis, seed: number): Promise<void> {
  const traffics = names.map(
    (name, n) => [name, createTraffic(redis, { stream: streamOf(name), group: name, queue: name }, seed + n)] as const,
  )
  const before = await definition()
  assert.doesNotMatch(JSON.stringify(before.spec), /allowEmptyKey/, 'the definition is that of the earlier release')
  const [old] = await consumerPods('followed')
  const flows = traffics.map(([, traffic]) => traffic.flow(perSecond))
  try {
    await until(
      async () => (await Promise.all(traffics.map(([, traffic]) => traffic.jobs()))).every((jobs) => jobs > perSecond),
      30_000,
    )
    await withoutRestarts(async () => {
      await documented(/^helm upgrade/)
      await acted()
      const after = await definition()
      assert.equal(after.metadata.uid, before.metadata.uid)
      assert.match(JSON.stringify(after.spec), /allowEmptyKey/, 'the upgrade reaches the definition')
      await until(async () => {
        const pods = await consumerPods('followed')
        assert.ok(pods.length === 1 && pods.every((pod) => isReady(pod) && pod.metadata.uid !== old?.metadata.uid))
      }, 90_000)
    }, 'kept')
  } finally {
    await Promise.all(flows.map(async (flow) => await flow.stop()))
  }
  for (const [name, traffic] of traffics) await accounted(report, name, traffic)
  for (const name of names) assert.deepEqual((await consumerPods(name)).map(restartsOf), [0], `${name}: restarts in place`)
  const { metadata } = await get<{ metadata: { annotations: Record<string, string> } }>(
    '-n',
    pipelinesNamespace,
    'deployment',
    'followed-consumer',
  )
  assert.equal(metadata.annotations['deployment.kubernetes.io/revision'], '2', 'its pods were replaced once')
  await oneReady('kept')
}

/** Removed and installed anew: definition, pipelines and consumers stay, and go on. */
export async function uninstall(redis: Redis, seed: number): Promise<void> {
  const traffic = createTraffic(
    redis,
    { stream: streamOf('followed'), group: 'followed', queue: 'followed' },
    seed + names.length,
  )
  await documented(/^helm uninstall streampipeline -n streampipeline$/)
  const before = await traffic.jobs()
  await traffic.burst(perSecond)
  await until(async () => (await traffic.jobs()) > before + perSecond / 2, 20_000, 200)
}

/** `work` replaces no pod of these pipelines. */
export async function unharmed(work: () => Promise<void>): Promise<void> {
  let kept: () => Promise<unknown> = async () => {
    await work()
    await acted()
  }
  for (const name of names) {
    const inner = kept
    kept = async () => await withoutRestarts(inner, name)
  }
  await kept()
}

export async function removeEarlier(): Promise<void> {
  await kubectl('-n', pipelinesNamespace, 'delete', 'streampipeline', ...names, '--ignore-not-found', '--wait=false')
}
