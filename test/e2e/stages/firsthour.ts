/** Install, first pipeline, first job; then a burst: replicas grow, the age falls, back to the minimum, to zero, awake again. */
import assert from 'node:assert/strict'
import { coldStart } from '../coldstart.ts'
import { apply, get, kubectl } from '../commands.ts'
import { documented } from '../documented.ts'
import { patience, until } from '../patience.ts'
import {
  consumerPods,
  isReady,
  operatorNamespace,
  type Pod,
  patch,
  pipelineName,
  pipelinesNamespace,
  settled,
  untilDescribed,
  untilStatus,
} from '../pipeline.ts'
import { redisObjects } from '../redispod.ts'
import type { Report } from '../stage.ts'
import { type Traffic, whereabouts } from '../traffic.ts'

const seconds = (since: number) => (performance.now() - since) / 1000
const table = ['kubectl', '-n', pipelinesNamespace, 'get', 'streampipelines'] as const
const story = ['kubectl', '-n', pipelinesNamespace, 'describe', 'streampipeline', pipelineName] as const

const scalingMessage = 'jsonpath={.status.conditions[?(@.type=="ScalingActive")].message}{"\\n"}'

const perSecondOfBurst = 1_000

/** They refuse every pod that is not restricted. */
export async function makeNamespaces(): Promise<void> {
  for (const name of [operatorNamespace, pipelinesNamespace]) {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }, name)
  }
}

export async function install(report: Report): Promise<void> {
  const began = performance.now()
  await documented(/^helm install streampipeline \S+ -n streampipeline --create-namespace --wait$/)
  report.measure('helm install to operator Ready', seconds(began), 's', 15)
  const { items } = await get<{ items: Pod[] }>('-n', operatorNamespace, 'pods')
  for (const { metadata } of items) {
    const seconds = await coldStart(operatorNamespace, metadata.name, 'leading')
    if (seconds !== undefined) report.measure('operator process started to leading', seconds, 's', 1)
  }
  await documented(/^helm test/)
  await report.capture(
    'After helm install',
    'There are two operator pods. One leads. The other one stands by, with its caches filled. The Lease names a pod that is gone until another pod takes it over.',
    ['kubectl', '-n', operatorNamespace, 'get', 'pods,lease'],
    ['kubectl', 'explain', 'streampipeline.spec.scaling.targetAge'],
  )
}

export async function startRedis(): Promise<void> {
  await apply(redisObjects, pipelinesNamespace)
  await kubectl('-n', pipelinesNamespace, 'rollout', 'status', 'statefulset/redis', `--timeout=${patience(90)}`)
}

export async function firstJob(report: Report, traffic: Traffic): Promise<void> {
  await traffic.burst(200)
  const began = performance.now()
  await documented(/^sed .*quickstart\.yaml \| kubectl apply/, pipelinesNamespace)
  await until(async () => (await traffic.jobs()) > 0, 60_000, 100)
  report.measure('kubectl apply to first job', seconds(began), 's', 10)
  await untilStatus(
    'ready',
    ({ conditions = [], backlog }) =>
      conditions.some(({ type, status }) => type === 'Ready' && status === 'True') && settled({ backlog: backlog ?? {} }),
  )
  // The operator may have added a second consumer for the backlog, and that one may not have started yet. So this takes a pod that
  // is ready.
  const pod = await until(async () => (await consumerPods()).find(isReady) ?? false, 60_000)
  const cold = await coldStart(pipelinesNamespace, pod.metadata.name, 'running')
  report.measure('consumer process started to running', cold ?? Number.NaN, 's', 1)
  await until(
    async () => assert.match(await documented(/^kubectl get streampipelines$/, pipelinesNamespace), /^ndvi .* True /m),
    60_000,
  )
  await report.capture(
    'The first entries are jobs',
    'This is the state a few seconds after `kubectl apply -f quickstart.yaml`.',
    table,
    story,
  )
}

/** Changes the consumers' configuration, and waits until all consumers were started with it. */
async function rolled(spec: object): Promise<void> {
  const before = new Set((await consumerPods()).map(({ metadata }) => metadata.uid))
  await patch(spec)
  await until(async () => {
    const pods = await consumerPods()
    return pods.length > 0 && pods.every((pod) => !before.has(pod.metadata.uid) && isReady(pod))
  }, 60_000)
}

/** Backpressure: entries that find no room in the queue stay in the stream, which is reported. None is lost. */
export async function fullQueue(report: Report, traffic: Traffic): Promise<void> {
  const limited = async (maxWaiting: number | null) => await rolled({ sink: { bullmq: { maxWaiting } } })
  await limited((await traffic.jobs()) + 500)
  try {
    await traffic.burst(3_000)
    await untilDescribed(pipelineName, /Reason:\s+QueueFull/)
    await report.capture(
      'The queue is full',
      'Consumers stop reading once more than `sink.bullmq.maxWaiting` jobs wait. They read again below 80 % of it. Until then, entries wait in the stream, where they take less memory.',
      table,
      ['kubectl', '-n', pipelinesNamespace, 'get', 'streampipeline', pipelineName, '-o', scalingMessage],
    )
    const ledger = await traffic.ledger()
    report.note(whereabouts(ledger))
    assert.ok(ledger.undelivered > 500, 'most of them wait in the stream')
    assert.equal(ledger.lost, 0)
  } finally {
    // Back to the default.
    await limited(null)
  }
  await untilStatus('settled', settled)
}

export async function burst(report: Report, traffic: Traffic): Promise<void> {
  // Entry by entry, so that on any machine one consumer falls behind; and the queue, which no worker empties, must not be the limit.
  await rolled({ source: { batchSize: 1 }, sink: { bullmq: { maxWaiting: 1_000_000 } } })
  const before = await traffic.jobs()
  await traffic.burst(15_000)
  const began = performance.now()
  // The flow lasts until a second consumer is ready: how much a single one clears until then depends on the machine.
  const growing = traffic.flow(perSecondOfBurst)
  try {
    await untilStatus('grown', ({ readyReplicas = 0 }) => readyReplicas >= 2, 60_000)
  } finally {
    await growing.stop()
  }
  report.measure('burst added to a second ready consumer', seconds(began), 's')
  await report.capture(
    'A burst: entries wait, consumers are added',
    'More entries wait than one consumer settles within `scaling.targetAge`. The operator adds consumers.',
    table,
    story,
  )
  await untilStatus('settled', settled, 90_000)
  report.measure('burst of 15,000 entries and more forwarded', seconds(began), 's')
  assert.ok((await traffic.jobs()) > before + 10_000)
  await untilStatus('back at the minimum', ({ replicas, scaling }) => replicas === 1 && scaling?.desiredReplicas === 1, 90_000)
  await report.capture(
    'The backlog is gone, and so are the extra consumers',
    'The operator removes consumers after `scaling.scaleDownDelay`.',
    table,
    [
      'kubectl',
      '-n',
      pipelinesNamespace,
      'get',
      'events',
      '--field-selector',
      `involvedObject.name=${pipelineName}`,
      '-o',
      'custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message',
    ],
  )
}

export async function zeroAndAwake(report: Report, traffic: Traffic): Promise<void> {
  await patch({ scaling: { minReplicas: 0, idleAfter: '5s', scaleDownDelay: '5s' } })
  await untilStatus('at zero', ({ replicas = 0, scaling }) => replicas === 0 && scaling?.desiredReplicas === 0, 60_000)
  await until(async () => (await consumerPods()).length === 0, 60_000)
  await report.capture(
    'Nothing to do: no consumer runs',
    'With `scaling.minReplicas: 0`, the operator stops the last consumer after `scaling.idleAfter`.',
    table,
  )
  const before = await traffic.jobs()
  const began = performance.now()
  await traffic.burst(100)
  await until(async () => (await traffic.jobs()) > before, 60_000, 100)
  report.measure('entry added at zero replicas to its job', seconds(began), 's')
  await report.capture('Awake again', 'An entry has arrived, and the operator has started a consumer for it.', table)
  await patch({ scaling: { minReplicas: 2, idleAfter: '30s', scaleDownDelay: '10s' } })
  await untilStatus('two ready', ({ readyReplicas = 0 }) => readyReplicas >= 2, 60_000)
}
