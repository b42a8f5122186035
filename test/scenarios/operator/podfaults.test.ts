/** Each cause that keeps a consumer from running is reported, at any number of ready ones, and the report ends with it. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observed, PodObject } from '../../../operator/plan/observed.ts'
import { report } from '../../../operator/report.ts'
import { isMute } from '../../../operator/status/pods/problem.ts'
import { deploymentObject, nowMs, observed, pipelineObject, seen } from '../../operator/builder.ts'
import { podName, statusFaults } from '../../operator/faults/statuses.ts'
import type { StatusFault } from '../../operator/faults/statusfault.ts'

const wanted = 3
const object = pipelineObject({ scaling: { policy: 'Manual' }, replicas: wanted })
const readyPod = (name: string): PodObject => ({
  metadata: { name, namespace: 'farm', uid: name },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
})

/** With so many ready consumers: of an earlier template where a rollout is under way. */
function withReady({ pod, events, deployment }: StatusFault, ready: number, isRollout: boolean): Observed {
  const made = deploymentObject(wanted, ready)
  const numbers = isRollout ? { replicas: ready + 1, updatedReplicas: 1 } : { replicas: wanted, updatedReplicas: wanted }
  const reason = isRollout ? 'ReplicaSetUpdated' : 'NewReplicaSetAvailable'
  const reported = deployment?.status?.conditions ?? []
  const progress = { type: 'Progressing', status: 'True', reason }
  const conditions = reported.some(({ type }) => type === 'Progressing') ? reported : [...reported, progress]
  const status = { ...made.status, ...numbers, availableReplicas: ready, ...deployment?.status, conditions }
  const pods = [
    ...Array.from({ length: ready }, (_, n) => readyPod(`ndvi-consumer-old-${n}`)),
    ...(pod === undefined ? [] : [pod]),
  ]
  return observed(object, {
    deployment: { ...made, spec: { replicas: wanted, ...deployment?.spec }, status },
    pods,
    observation: seen(object),
    ...(events === undefined ? {} : { podEvents: new Map([['pod-1', { kind: 'Read', events }]]) }),
  })
}

const of = (o: Observed, type: string) => {
  const found = report(o, nowMs).status.conditions?.find((condition) => condition.type === type)
  assert.ok(found)
  return found
}

test('faults of pods and their Deployment', async (t) => {
  assert.ok(statusFaults.length >= 70)
  t.diagnostic(`${statusFaults.length} faults`)
  for (const fault of statusFaults) {
    for (const [ready, isRollout] of [
      [0, false],
      [0, true],
      [1, false],
      [wanted - 1, false],
      [wanted, true],
    ] as const) {
      const o = withReady(fault, ready, isRollout)
      const said = of(o, 'ConsumersAvailable')
      const where = `${fault.name}, ${ready} ready${isRollout ? ' in a rollout' : ''}: ${said.message}`
      assert.deepEqual([said.status, said.reason], ready === 0 ? ['False', fault.reason] : ['True', 'ConsumersDegraded'], where)
      for (const part of fault.reported) assert.match(said.message, part, where)
      if (fault.pod !== undefined) assert.match(said.message, new RegExp(`Pod ${podName}: `), where)
      const isReady = of(o, 'Ready')
      const isWhole = ready > 0 && !isRollout && fault.reason !== 'RolloutPaused'
      assert.deepEqual([isReady.status, isReady.reason], isWhole ? ['True', 'Running'] : ['False', fault.reason], where)
    }
    const { pod, events, ...mended } = fault
    const { deployment: _, ...whole } = mended
    const well = withReady(whole, wanted, false)
    const reported = of(
      {
        ...well,
        pods: [...well.pods, readyPod(podName)],
        podEvents: new Map([['pod-1', { kind: 'Read', events: events ?? [] }]]),
      },
      'ConsumersAvailable',
    )
    assert.deepEqual([reported.status, reported.reason], ['True', 'ConsumersReady'], fault.name)
    if (pod === undefined) continue
    const leaving = { ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-11-22T16:00:00Z' } }
    assert.equal(
      of({ ...well, pods: [...well.pods, leaving] }, 'ConsumersAvailable').reason,
      'ConsumersReady',
      `${fault.name}, leaving`,
    )
  }
})

test('pods on their way are no news', () => {
  const at = (seconds: number) => new Date(nowMs - seconds * 1000).toISOString()
  const scheduled = { type: 'PodScheduled', status: 'True', lastTransitionTime: at(5) }
  const starting: readonly PodObject['status'][] = [
    { phase: 'Pending' },
    { phase: 'Pending', conditions: [scheduled] },
    {
      phase: 'Pending',
      conditions: [scheduled],
      containerStatuses: [{ name: 'consumer', state: { waiting: { reason: 'ContainerCreating' } } }],
    },
    {
      phase: 'Pending',
      conditions: [scheduled],
      initContainerStatuses: [{ name: 'mesh-init', state: { running: { startedAt: at(4) } } }],
      containerStatuses: [{ name: 'consumer', state: { waiting: { reason: 'PodInitializing' } } }],
    },
    {
      phase: 'Pending',
      conditions: [scheduled],
      initContainerStatuses: [{ name: 'mesh-init', state: { terminated: { exitCode: 0, reason: 'Completed' } } }],
      containerStatuses: [{ name: 'consumer', state: { waiting: { reason: 'PodInitializing' } } }],
    },
    {
      phase: 'Running',
      conditions: [scheduled],
      containerStatuses: [{ name: 'consumer', started: false, ready: false, state: { running: { startedAt: at(3) } } }],
    },
    {
      phase: 'Running',
      conditions: [scheduled],
      containerStatuses: [
        {
          name: 'consumer',
          ready: false,
          restartCount: 1,
          state: { running: { startedAt: at(3) } },
          lastState: { terminated: { exitCode: 1, finishedAt: at(3_600) } },
        },
      ],
    },
  ]
  for (const status of starting) {
    const pod: PodObject = {
      metadata: { name: podName, namespace: 'farm', uid: 'pod-1', creationTimestamp: at(5) },
      status: status ?? {},
    }
    const o = observed(object, { deployment: deploymentObject(wanted, 0), pods: [pod], observation: seen(object) })
    assert.equal(of(o, 'ConsumersAvailable').reason, 'ConsumersStarting', JSON.stringify(status))
    assert.ok((report(o, nowMs).requeueAfterMs ?? Number.POSITIVE_INFINITY) <= 10_000)
    if (status?.conditions !== undefined) assert.equal(isMute(pod, nowMs), true)
  }
})

test('Events are asked for only of pods that say nothing themselves', () => {
  const mute = statusFaults.filter(({ pod }) => pod !== undefined && isMute(pod, nowMs)).map(({ reason }) => reason)
  const expected = ['VolumeNotMounted', 'SandboxNotCreated', 'ConsumersStuck', 'ConsumersNotReady', 'ContainersInitializing']
  assert.deepEqual([...new Set(mute)].sort(), expected.sort())
})
