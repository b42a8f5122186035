/** What `kubectl wait` and the status say while a rollout is stuck, and while another autoscaler writes to the Deployment. */
import assert from 'node:assert/strict'
import { apply, execute, get, kubectl, program } from '../commands.ts'
import { patience, until } from '../patience.ts'
import { consumerPods, isReady, patch, pipelinesNamespace, statusOf, untilDescribed } from '../pipeline.ts'
import type { Report } from '../stage.ts'

const small = (name: string): object => ({
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: `${name}:jobs`, group: name },
    sink: { bullmq: { queue: name } },
    scaling: { minReplicas: 1, maxReplicas: 3 },
  },
})

interface Conditions {
  readonly metadata: { readonly generation: number }
  readonly status?: {
    readonly conditions?: readonly { type: string; status: string; reason: string; observedGeneration?: number }[]
  }
}

/** `kubectl wait` as people and pipelines of CI use it. @returns its exit code */
async function waitReady(name: string, seconds: string): Promise<number> {
  const args = ['-n', pipelinesNamespace, 'wait', '--for=condition=Ready', `streampipeline/${name}`, `--timeout=${seconds}`]
  return (await execute(program('kubectl'), args)).code
}

const remove = async (name: string) => await kubectl('-n', pipelinesNamespace, 'delete', 'streampipeline', name, '--wait=false')

/** A new image that cannot be pulled: the old pods go on, and yet the new generation is not Ready. */
export async function stuckRollout(report: Report): Promise<void> {
  const name = 'stuck'
  await apply(small(name), pipelinesNamespace)
  assert.equal(await waitReady(name, patience(60)), 0, 'the first rollout completes')
  const before = (await consumerPods(name)).filter(isReady).map(({ metadata }) => metadata.uid)
  await patch({ consumer: { image: 'nowhere.invalid/consumer:none' } }, name)
  await until(async () => {
    const { metadata, status } = await get<Conditions>('-n', pipelinesNamespace, 'streampipeline', name)
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')
    assert.ok(ready)
    if (ready.status === 'True') assert.notEqual(ready.observedGeneration, metadata.generation, 'Ready is of the spec before')
    assert.deepEqual([ready.status, ready.reason, ready.observedGeneration], ['False', 'ImagePullFailed', metadata.generation])
  }, 60_000)
  assert.notEqual(await waitReady(name, '1s'), 0, 'kubectl wait does not succeed')
  await untilDescribed(name, /The rollout is not complete/)
  const during = (await consumerPods(name)).filter(isReady).map(({ metadata }) => metadata.uid)
  assert.deepEqual(during, before, 'the pods of the last good spec go on')
  await report.capture('A rollout that is stuck', 'No node can pull the new image. The pods of the earlier spec continue.', [
    'kubectl',
    '-n',
    pipelinesNamespace,
    'describe',
    'streampipeline',
    name,
  ])
  await patch({ consumer: { image: null } }, name)
  assert.equal(await waitReady(name, patience(60)), 0, 'the corrected spec is Ready')
  await remove(name)
}

const scaledTwice = 'scaledtwice'

/** Begins early: the HPA looks every 15 s, and only its third undoing counts as a contest. */
export async function addAutoscaler(): Promise<void> {
  await apply(small(scaledTwice), pipelinesNamespace)
  assert.equal(await waitReady(scaledTwice, patience(60)), 0)
  const hpa = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: scaledTwice },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: `${scaledTwice}-consumer` },
      minReplicas: 2,
      maxReplicas: 3,
      metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }],
    },
  }
  await apply(hpa, pipelinesNamespace)
}

/** It is named and not fought. */
export async function foreignAutoscaler(report: Report): Promise<void> {
  await until(
    async () => {
      const { conditions } = await statusOf(scaledTwice)
      const reconciled = conditions?.find(({ type }) => type === 'Reconciled')
      assert.ok(reconciled)
      assert.equal(reconciled.reason, 'Contended', reconciled.message)
      assert.match(reconciled.message, /a HorizontalPodAutoscaler.* repeatedly changes .* back.*target the StreamPipeline/s)
    },
    120_000,
    1_000,
  )
  await report.capture('Another autoscaler on the Deployment', 'An HPA changes the replicas that the operator has set.', [
    'kubectl',
    '-n',
    pipelinesNamespace,
    'describe',
    'streampipeline',
    scaledTwice,
  ])
  await kubectl('-n', pipelinesNamespace, 'delete', 'horizontalpodautoscaler', scaledTwice)
  await remove(scaledTwice)
}
