/** Releases under traffic: upgraded to nothing new, to new consumers, removed. From the release before: upgrade.ts. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { apply, get, helm, kubectl, liveObjects } from '../commands.ts'
import { documented, notYetRun } from '../documented.ts'
import { patience, until } from '../patience.ts'
import {
  chart,
  consumerPods,
  isReady,
  operatorNamespace,
  type Pod,
  pipelinesNamespace,
  release,
  restartsOf,
  settled,
  untilStatus,
} from '../pipeline.ts'
import type { Report } from '../stage.ts'
import type { Traffic } from '../traffic.ts'
import { holder, under } from './faults.ts'

const wait = ['-n', operatorNamespace, '--wait', '--timeout', patience(90)] as const

/** Pods that did not have to start anew must not: same uid, same number of restarts. */
export async function withoutRestarts(work: () => Promise<unknown>, pipeline?: string): Promise<void> {
  const described = async () =>
    (await consumerPods(pipeline)).map((pod) => `${pod.metadata.name} ${pod.metadata.uid} ${restartsOf(pod)}`)
  const before = await described()
  await work()
  const after = await described()
  const touched = before.filter((each) => !after.includes(each))
  if (touched.length > 0) throw new Error(`consumers were restarted for nothing: ${touched.join(', ')}`)
}

/** Until the release that is installed now has a leader, and for a while after that: before, no operator would touch a consumer. */
export async function acted(): Promise<void> {
  await kubectl('-n', operatorNamespace, 'rollout', 'status', 'deployment', `--timeout=${patience(60)}`)
  await until(async () => {
    const { items } = await get<{ items: Pod[] }>('-n', operatorNamespace, 'pods')
    const present = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    const [leader] = (await holder()).split('_')
    return present.some(({ metadata }) => metadata.name === leader)
  }, 40_000)
  await sleep(2_000)
}

interface Live {
  readonly kind: string
  readonly metadata: {
    readonly namespace?: string
    readonly name: string
    readonly managedFields?: readonly { readonly subresource?: string }[]
  }
}

/**
 * Each object of the release with all that a write changes, apart from the status, which controllers may write at any time.
 */
async function releasedObjects(): Promise<ReadonlyMap<string, string>> {
  const objects = await liveObjects<Live>(await helm('get', 'manifest', release, '-n', operatorNamespace))
  return new Map(
    objects.map(({ metadata, ...rest }) => {
      const managedFields = metadata.managedFields?.filter(({ subresource }) => subresource !== 'status')
      const written = { ...rest, status: undefined, metadata: { ...metadata, managedFields, resourceVersion: undefined } }
      return [`${rest.kind} ${metadata.namespace ?? ''}/${metadata.name}`, JSON.stringify(written)]
    }),
  )
}

/** The same chart with the same values: no object of the release is written, so nothing can restart. */
export async function upgradeToTheSame(report: Report): Promise<void> {
  await kubectl('-n', operatorNamespace, 'rollout', 'status', 'deployment', `--timeout=${patience(60)}`)
  const before = await releasedObjects()
  await documented(/^helm upgrade/)
  const written = [...(await releasedObjects())].flatMap(([name, text]) => (before.get(name) === text ? [] : [name]))
  report.measure('objects written by an upgrade to the same', written.length, `of ${before.size}`, 0)
  assert.deepEqual(written, [])
}

/** The default image changes: consumers that use it are replaced, those of a pipeline that names its own are left alone. */
export async function upgradeConsumers(traffic: Traffic, version: string, next: string): Promise<void> {
  const image = `localhost/streampipeline/consumer:${version}`
  const pinned = {
    apiVersion: 'streampipeline.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata: { name: 'pinned' },
    spec: {
      redis: { url: 'redis://redis:6379/0' },
      source: { stream: 'pinned:jobs', group: 'pinned' },
      sink: { bullmq: { queue: 'pinned' } },
      consumer: { image },
    },
  }
  await apply(pinned, pipelinesNamespace)
  await untilStatus('one ready', ({ readyReplicas }) => readyReplicas === 1, 60_000, 'pinned')
  await under(
    traffic,
    async () =>
      await withoutRestarts(async () => {
        await helm('upgrade', release, chart, '--reuse-values', '--set', `consumerImage.tag=${next}`, ...wait)
        await until(async () => {
          const pods = await consumerPods()
          const isNext = pods.every(({ spec }) => spec.containers[0]?.image.endsWith(`:${next}`))
          if (isNext && pods.length === 2 && pods.every(isReady)) return true
          throw new Error(`not yet the next image: ${pods.map(({ spec }) => spec.containers[0]?.image).join(', ')}`)
        }, 60_000)
      }, 'pinned'),
  )
  await untilStatus('settled', settled)
  await kubectl('-n', pipelinesNamespace, 'delete', 'streampipeline', 'pinned', '--wait=false')
}

/** Removes everything, pipelines first, by the page's own commands. Then every command of the page has been run. */
export async function remove(): Promise<void> {
  await documented(/^kubectl delete streampipelines --all -A$/)
  await documented(/^helm uninstall streampipeline -n streampipeline$/)
  await documented(/^kubectl delete crd/)
  await documented(/^kubectl delete secret/)
  assert.deepEqual(notYetRun(), [], 'commands of docs/install.md that nothing has run')
}
