/** Ready means ready: for each state what `kubectl wait`, kstatus (Helm, Flux) and Argo CD make of it. */
import '../../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../../../api/errors.ts'
import { argocdHealth } from '../../../../build/chart/argocd.ts'
import type { DeploymentObject } from '../../../../operator/plan/deployment.ts'
import { modeToPublish } from '../../../../operator/plan/mode.ts'
import type { Observation, Observed, PipelineObject, PodObject } from '../../../../operator/plan/observed.ts'
import { report } from '../../../../operator/report.ts'
import { dispatchVariable } from '../../../../redis/dispatchconfig.ts'
import { type Kstatus, kstatusOf } from '../../../support/kstatus.ts'
import { startRedis } from '../../../support/redis.ts'
import { deploymentObject, failedLook, nowMs, observed, pipelineObject, read, seen } from '../../builder.ts'

const generation = 7
const object = (spec: Record<string, unknown> = {}, metadata: PipelineObject['metadata'] = {}) =>
  pipelineObject(spec, { generation, ...metadata })

type Numbers = NonNullable<DeploymentObject['status']>
const progressing = (reason: string, status = 'True', message = '') => ({ type: 'Progressing', status, reason, message })
const deadline = progressing('ProgressDeadlineExceeded', 'False', 'ReplicaSet "x" has timed out progressing.')

function rolling(replicas: number, status: Numbers, more: { generation?: number; paused?: boolean } = {}): DeploymentObject {
  const made = deploymentObject(replicas, status.readyReplicas ?? 0)
  const spec = { replicas, ...(more.paused === undefined ? {} : { paused: more.paused }) }
  return {
    ...made,
    metadata: { ...made.metadata, generation: more.generation ?? 9 },
    spec,
    status: { observedGeneration: 9, ...status },
  }
}

const whole: Numbers = { replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3 }
const available = { conditions: [progressing('NewReplicaSetAvailable')] }
const standingSince = '2026-11-22T12:00:00Z'
const stood = { conditions: [{ ...progressing('NewReplicaSetAvailable'), lastUpdateTime: standingSince }] }
const back = { generation: 9, standingSince }
const surge: Numbers = { replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3 }
const bad: PodObject = {
  metadata: { name: 'ndvi-consumer-new', namespace: 'farm' },
  status: {
    phase: 'Pending',
    containerStatuses: [{ name: 'consumer', state: { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } } }],
  },
}
const stale = (observation: Observation): Observation =>
  observation.kind === 'None' ? observation : { ...observation, generation: generation - 1 }
const refusal = failure('RedisNotReady', { address: 'redis:6379', reply: 'READONLY', detail: 'it is a replica of x:6379' })

interface Row {
  readonly name: string
  readonly observed: Observed
  readonly ready: readonly [status: string, reason: string]
  readonly stalled?: string
  readonly kstatus: Kstatus
  readonly argo: string
  readonly reported?: RegExp
}

const one = object()
const at = (deployment: DeploymentObject, more: Partial<Observed> = {}) =>
  observed(one, { deployment, observation: seen(one), ...more })
const wait = { kstatus: 'InProgress', argo: 'Progressing' } as const
const wrong = { kstatus: 'InProgress', argo: 'Degraded' } as const
const well = { kstatus: 'Current', argo: 'Healthy' } as const
const off = (spec: Record<string, unknown>, numbers: Numbers = available) => {
  const asked = object(spec)
  return observed(asked, { observation: seen(asked), deployment: rolling(0, numbers) })
}

const rows: readonly Row[] = [
  { name: 'rolled out', observed: at(rolling(3, { ...whole, ...available })), ready: ['True', 'Running'], ...well },
  {
    name: 'a look at an earlier Redis',
    observed: at(rolling(3, { ...whole, ...available }), { observation: stale(seen(one)) }),
    ready: ['Unknown', 'NotObservedYet'],
    ...wait,
  },
  {
    name: 'a failed look at an earlier Redis',
    observed: at(rolling(3, { ...whole, ...available }), { observation: stale(failedLook(one)) }),
    ready: ['Unknown', 'NotObservedYet'],
    ...wait,
  },
  {
    name: 'Redis away',
    observed: at(rolling(3, { ...whole, ...available }), { observation: failedLook(one) }),
    ready: ['False', 'RedisUnreachable'],
    ...wrong,
  },
  {
    name: 'the controller has not seen the template',
    observed: at(rolling(3, { ...whole, ...available }, { generation: 10 })),
    ready: ['Unknown', 'Progressing'],
    ...wait,
  },
  {
    name: 'the controller has not seen a number of replicas',
    observed: at(rolling(5, { ...whole, ...available }, { generation: 10 }), { template: { generation: 9 } }),
    ready: ['True', 'Running'],
    ...well,
  },
  {
    name: 'the controller has not seen a template that was written before a number',
    observed: at(rolling(5, { ...whole, ...available }, { generation: 11 }), { template: { generation: 10 } }),
    ready: ['Unknown', 'Progressing'],
    ...wait,
  },
  {
    name: 'growing',
    observed: at(rolling(9, { ...whole, ...available, replicas: 9, updatedReplicas: 9 })),
    ready: ['True', 'Running'],
    ...well,
  },
  {
    name: 'a new pod is on its way',
    observed: at(rolling(3, { ...surge, conditions: [progressing('ReplicaSetUpdated')] })),
    ready: ['Unknown', 'Progressing'],
    reported: /1 of 3 .*3 of an earlier template/,
    ...wait,
  },
  {
    name: 'back at an earlier template, whose condition still stands',
    observed: at(rolling(3, { ...surge, ...available })),
    ready: ['Unknown', 'Progressing'],
    ...wait,
  },
  {
    name: 'updated and not available',
    observed: at(
      rolling(3, { ...whole, readyReplicas: 2, availableReplicas: 2, conditions: [progressing('ReplicaSetUpdated')] }),
    ),
    ready: ['Unknown', 'Progressing'],
    ...wait,
  },
  { name: 'no deadline is set, all are updated', observed: at(rolling(3, whole)), ready: ['True', 'Running'], ...well },
  {
    name: 'a new pod whose image cannot be pulled',
    observed: at(rolling(3, { ...surge, conditions: [progressing('ReplicaSetUpdated')] }), { pods: [bad] }),
    ready: ['False', 'ImagePullFailed'],
    reported: /no such image\. Check spec\.consumer\.image/,
    ...wrong,
  },
  {
    name: 'and the deadline passed',
    observed: at(rolling(3, { ...surge, conditions: [deadline] }), { pods: [bad] }),
    ready: ['False', 'ImagePullFailed'],
    stalled: 'ProgressDeadlineExceeded',
    kstatus: 'Failed',
    argo: 'Degraded',
  },
  {
    name: 'a deadline that passed without a cause',
    observed: at(rolling(3, { ...surge, conditions: [deadline] })),
    ready: ['False', 'ProgressDeadlineExceeded'],
    stalled: 'ProgressDeadlineExceeded',
    kstatus: 'Failed',
    argo: 'Degraded',
    reported: /timed out progressing/,
  },
  {
    name: 'a deadline that passed, and paused since then: Kubernetes keeps that condition',
    observed: at(rolling(3, { ...surge, conditions: [deadline] }, { paused: true }), { pods: [bad] }),
    ready: ['False', 'RolloutPaused'],
    stalled: 'ProgressDeadlineExceeded',
    kstatus: 'Failed',
    argo: 'Degraded',
    reported: /timed out progressing.* kubectl rollout resume -n farm deployment\/ndvi-consumer/,
  },
  {
    name: 'back at the template before, whose condition still stands, before all its pods are available',
    observed: at(rolling(3, { ...whole, readyReplicas: 2, availableReplicas: 2, ...stood }), { template: back }),
    ready: ['Unknown', 'Progressing'],
    ...wait,
  },
  {
    name: 'back at the template before, all its pods are available',
    observed: at(rolling(3, { ...whole, ...stood }), { template: back }),
    ready: ['True', 'Running'],
    ...well,
  },
  {
    name: 'back at the template before, which was rolled out anew',
    observed: at(rolling(3, { ...whole, readyReplicas: 2, availableReplicas: 2, ...stood }), {
      template: { ...back, standingSince: '2026-11-22T11:00:00Z' },
    }),
    ready: ['True', 'Running'],
    ...well,
  },
  {
    name: 'a quota without room for the surge',
    observed: at(
      rolling(3, {
        ...whole,
        updatedReplicas: 0,
        conditions: [
          progressing('ReplicaSetUpdated'),
          { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'exceeded quota: one' },
        ],
      }),
    ),
    ready: ['False', 'PodsRefused'],
    reported: /exceeded quota: one/,
    ...wrong,
  },
  {
    name: 'a quota without room for growth',
    observed: at(
      rolling(4, {
        ...whole,
        conditions: [
          progressing('NewReplicaSetAvailable'),
          { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'exceeded quota: one' },
        ],
      }),
    ),
    ready: ['True', 'Running'],
    ...well,
  },
  {
    name: 'paused with another template',
    observed: at(
      rolling(3, { ...whole, updatedReplicas: 0, conditions: [progressing('DeploymentPaused', 'Unknown')] }, { paused: true }),
    ),
    ready: ['False', 'RolloutPaused'],
    reported: /kubectl rollout resume -n farm deployment\/ndvi-consumer/,
    ...wrong,
  },
  {
    name: 'paused before all new pods are available',
    observed: at(
      rolling(
        3,
        { ...whole, readyReplicas: 1, availableReplicas: 1, conditions: [progressing('DeploymentPaused', 'Unknown')] },
        { paused: true },
      ),
    ),
    ready: ['False', 'RolloutPaused'],
    reported: /3 of 3 consumers run the new template, 1 are available/,
    ...wrong,
  },
  {
    name: 'at zero, and a pod of an unfinished rollout is still there',
    observed: off({ suspend: true }, { replicas: 1, updatedReplicas: 1, conditions: [progressing('NewReplicaSetCreated')] }),
    ready: ['Unknown', 'Progressing'],
    ...wait,
  },
  {
    name: 'paused with nothing to do',
    observed: at(rolling(3, { ...whole, conditions: [progressing('DeploymentPaused', 'Unknown')] }, { paused: true })),
    ready: ['True', 'Running'],
    ...well,
  },
  { name: 'suspended', observed: off({ suspend: true }), ready: ['True', 'Suspended'], ...well },
  { name: 'Direct, and settled', observed: directAtRest(), ready: ['True', 'Running'], ...well },
  { name: 'at zero', observed: atZero(), ready: ['True', 'Running'], ...well },
  { name: 'at zero by hand', observed: off({ scaling: { policy: 'Manual' }, replicas: 0 }), ready: ['True', 'Running'], ...well },
]

function directAtRest(): Observed {
  const direct = object({ mode: 'Direct' })
  return observed(direct, { deployment: rolling(0, available), observation: seen(direct, {}, nowMs - 600_000) })
}

function atZero(): Observed {
  const idle = object({ scaling: { minReplicas: 0 } })
  const look = seen(idle)
  const observation = look.kind === 'Seen' ? { ...look, decision: { ...look.decision, replicas: 0 } } : look
  return observed(idle, { deployment: rolling(0, available), observation })
}

test('Ready, Stalled, kstatus and Argo CD, state by state', async (t) => {
  const client = (await startRedis(t)).client()
  const argo = async (judged: object) => {
    const script = `local obj = cjson.decode(ARGV[1])\nlocal function health()\n${argocdHealth}\nend\nreturn cjson.encode(health())`
    return JSON.parse(String(await client.eval(script, 0, JSON.stringify(judged)))) as { status: string; message: string }
  }
  for (const { name, observed: o, ready, stalled, kstatus, argo: health, reported } of rows) {
    const status = { ...report(o, nowMs).status }
    const of = (type: string) => status.conditions?.find((condition) => condition.type === type)
    assert.deepEqual([of('Ready')?.status, of('Ready')?.reason], ready, `${name}: ${of('Ready')?.message}`)
    assert.match(of('Ready')?.message ?? '', reported ?? /./, name)
    assert.deepEqual(
      [of('Stalled')?.status, of('Stalled')?.reason],
      stalled === undefined ? ['False', 'Progressing'] : ['True', stalled],
      name,
    )
    assert.equal(kstatusOf({ metadata: o.object.metadata, status }), kstatus, name)
    const judged = await argo({ metadata: o.object.metadata, status })
    assert.equal(judged.status, health, `${name}: ${judged.message}`)
  }
  assert.equal((await argo({ metadata: { generation: 1 } })).status, 'Progressing')
  assert.equal(
    kstatusOf({ metadata: { generation: 1 }, status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } }),
    'InProgress',
  )
  const unsound = observed(one, {
    spec: { kind: 'Unsound', error: failure('InvalidPipeline', { subject: 'ndvi', problems: 'x' }) },
  })
  assert.equal((await argo({ metadata: one.metadata, status: report(unsound, nowMs).status })).status, 'Degraded')

  const last = report(at(rolling(3, { ...whole, ...available })), nowMs).status
  for (const [before, expected] of [
    [last, 'True'],
    [report(rows.find(({ name }) => name === 'Redis away')?.observed ?? at(rolling(0, {})), nowMs).status, 'False'],
  ] as const) {
    const paused = {
      ...object({}, { generation: generation + 1, annotations: { 'streampipeline.dev/reconcile': 'disabled' } }),
      status: before,
    }
    const { status } = report(observed(paused, { observation: seen(paused) }), nowMs + 60_000)
    const ready = status.conditions?.find(({ type }) => type === 'Ready')
    assert.deepEqual([ready?.status, ready?.reason, ready?.observedGeneration], [expected, 'ReconcileDisabled', generation])
    assert.equal(ready?.lastTransitionTime, before.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime)
    assert.equal(kstatusOf({ metadata: paused.metadata, status }), expected === 'True' ? 'Current' : 'InProgress')
    assert.equal((await argo({ metadata: paused.metadata, status })).status, 'Suspended')
  }
})

test('the status of a spec waits for the look at its Redis, five seconds at most', () => {
  const before = report(at(rolling(3, { ...whole, ...available })), nowMs).status
  const changed = { ...object({}, { generation: generation + 1 }), status: before }
  const reported = (afterMs: number, observation: Observation) =>
    report(
      observed(changed, { observation, specSinceMs: nowMs, deployment: rolling(3, { ...whole, ...available }) }),
      nowMs + afterMs,
    )
  const waiting = reported(1_000, seen(one))
  assert.equal(waiting.writeStatus, false)
  assert.equal(waiting.requeueAfterMs, 4_000)
  const late = reported(5_000, seen(one))
  assert.equal(late.writeStatus, true)
  assert.equal(late.status.conditions?.[0]?.status, 'Unknown')
  assert.equal(reported(100, seen(changed)).status.conditions?.[0]?.status, 'True')
  assert.equal(reported(100, seen(changed)).writeStatus, true)
})

test('the first status of a spec waits a second for the Deployment controller, and for nothing else', () => {
  const before = report(at(rolling(3, { ...whole, ...available })), nowMs).status
  const changed = { ...object({}, { generation: generation + 1 }), status: before }
  const unseen = rolling(3, { ...whole, ...available, observedGeneration: 8 })
  const reported = (afterMs: number, more: Partial<Observed> = {}) =>
    report(observed(changed, { observation: seen(changed), specSinceMs: nowMs, deployment: unseen, ...more }), nowMs + afterMs)
  assert.deepEqual([reported(100).writeStatus, reported(100).requeueAfterMs], [false, 900])
  const late = reported(1_000)
  assert.deepEqual([late.writeStatus, late.status.conditions?.[0]?.status], [true, 'Unknown'])
  const taken = reported(100, { deployment: rolling(3, { ...whole, ...available }) })
  assert.deepEqual([taken.writeStatus, taken.status.conditions?.[0]?.status], [true, 'True'])
  const scaled = reported(100, { deployment: unseen, template: { generation: 8 } })
  assert.equal(scaled.writeStatus, true, 'the template is older than the change of replicas')
  const refused = {
    subject: 'Deployment ndvi-consumer',
    error: failure('Closed', { what: 'x' }),
  }
  assert.equal(reported(100, { failures: [refused] }).writeStatus, true)
  const known = {
    ...changed,
    status: report(observed(changed, { observation: seen(changed), deployment: unseen }), nowMs).status,
  }
  const later = observed(known, {
    observation: seen(known),
    specSinceMs: nowMs,
    deployment: rolling(0, { observedGeneration: 8 }),
  })
  assert.equal(report(later, nowMs + 100).writeStatus, true, 'a status of this spec was written before')
})

test('a status waits for the next look once the last one is five seconds old, and knows nothing after half a minute', () => {
  const look = seen(one)
  const deployment = rolling(3, { ...whole, ...available })
  const reported = (ageMs: number, observeEveryMs = 5_000) => {
    const observation = look.kind === 'Seen' ? { ...look, atMs: nowMs - ageMs } : look
    const o = at(deployment, { observation })
    return report({ ...o, settings: { ...o.settings, observeEveryMs } }, nowMs)
  }
  assert.equal(reported(5_000).writeStatus, true)
  assert.deepEqual([reported(5_001).writeStatus, reported(5_001).requeueAfterMs], [false, 250])
  assert.equal(reported(50_000, 60_000).writeStatus, true)
  const ready = reported(31_000).status.conditions?.[0]
  assert.deepEqual([ready?.status, ready?.reason], ['Unknown', 'NotObservedYet'])
})

test('producers are sent to the stream of this spec only, and to one that takes writes', () => {
  const back = object({ scaling: { minReplicas: 0 } })
  const data = { [dispatchVariable]: JSON.stringify({ mode: 'Direct' }) }
  const dispatch = { metadata: { name: 'ndvi-dispatch' }, data }
  const look = seen(back)
  const reported = (observation: Observation) =>
    modeToPublish(observed(back, { deployment: deploymentObject(0, 0), dispatch, observation }), read(back).pipeline)
  assert.equal(reported(look), 'Stream')
  assert.equal(reported(stale(look)), 'Direct')
  assert.equal(reported(look.kind === 'Seen' ? { ...look, refusal } : look), 'Direct')
})

test('a full queue is reported until consumers read again', () => {
  const full = object({ sink: { bullmq: { queue: 'ndvi', maxWaiting: 1000 } } })
  const beat = { uid: 'u', at: nowMs, serviceMs: 5, inFlight: 0, path: '', forwarded: 0, duplicates: 0, dead: 0, reclaimed: 0 }
  const reported = (queueWaiting: number, state: string) => {
    const consumers = [{ name: 'p', uid: 'u', pending: 0, idleMs: 0, heartbeat: { ...beat, state } }]
    const { status } = report(observed(full, { observation: seen(full, { queueWaiting, consumers }) }), nowMs)
    return status.conditions?.find(({ type }) => type === 'ScalingActive')?.reason
  }
  assert.equal(reported(1_000, 'Running'), 'QueueFull')
  assert.equal(reported(850, 'Backpressured'), 'QueueFull')
  assert.equal(reported(850, 'Running'), 'ScalingOnAge')
})
