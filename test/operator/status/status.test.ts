import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../../api/errors.ts'
import { type ConditionType, conditionTypes, type StreamPipelineStatus, statusSchema } from '../../../api/status.ts'
import type { Observed, PodObject } from '../../../operator/plan/observed.ts'
import { report } from '../../../operator/report.ts'
import { roundAge, roundCount } from '../../../operator/rounding.ts'
import { verdictsOf } from '../../../operator/status/conditions.ts'
import { statusDue } from '../../../operator/status/due.ts'
import { eventsOf } from '../../../operator/status/events.ts'
import type { ConsumerSample } from '../../../scaling/sample.ts'
import { deploymentObject, failedLook, nowMs, observed, pipelineObject, sample, seen, uid } from '../builder.ts'

const statusOf = (o: Observed, atMs = nowMs) => report(o, atMs).status
const conditionOf = (o: Observed, type: ConditionType) => {
  const found = statusOf(o).conditions?.find((condition) => condition.type === type)
  assert.ok(found)
  return found
}

const pod = (name: string, status: PodObject['status'] = {}): PodObject => ({ metadata: { name, namespace: 'farm' }, status })
const waiting = (reason: string, message: string): PodObject['status'] => ({
  containerStatuses: [
    { state: { waiting: { reason, message } }, lastState: { terminated: { exitCode: 64, message: 'bad config' } } },
  ],
})
const starting = { deployment: deploymentObject(1, 0) }
const object = pipelineObject()
const absentReference = { kind: 'Secret', name: 's', key: 'k', field: 'spec.redis.urlFrom' } as const
const missing = failure('ReferenceMissing', { ...absentReference, detail: 'there is no such Secret in farm' })
const taken = failure('NameTaken', { kind: 'ConfigMap', name: 'ndvi-consumer', owner: 'Deployment other' })
const forbidden = failure('KubernetesForbidden', { detail: 'deployments.apps is forbidden' })
const unsound = failure('InvalidPipeline', { subject: 'ndvi', problems: 'spec.payload.schema: strict mode' })
const lostSample = { lost: 12_345 }
const acknowledging = (losses: string) =>
  pipelineObject({}, { annotations: { 'streampipeline.dev/acknowledged-losses': losses } })
const takenByOthers = { unaccounted: 7, undecided: 0, from: '5-1', sinceMs: 1_763_830_000_000 }

const byHand = pipelineObject({ scaling: { policy: 'Manual' }, replicas: 0 })
const lastLook = failedLook(object)
const away = observed(object, {
  observation: lastLook.kind === 'Failed' ? { ...lastLook, sample: sample(), sampleAtMs: nowMs - 60_000 } : lastLook,
})
const unwatched = (kind: string, plural: string, known = true) =>
  observed(object, { dark: [{ kind, known, subject: `${plural} in farm`, error: forbidden }] })

const halted = pipelineObject({ suspend: true })
const pausedDirect = pipelineObject({ mode: 'Direct', suspend: true })
const disabled = pipelineObject({}, { annotations: { 'streampipeline.dev/reconcile': 'disabled' } })

type Row = readonly [sentence: string, o: Observed, type: ConditionType, status: string, reason: string, message: RegExp]
const rows: readonly Row[] = [
  ['all well', observed(object), 'Ready', 'True', 'Running', /consumers are available/],
  ['nothing stalls', observed(object), 'Stalled', 'False', 'Progressing', /No manual action/],
  [
    'unsound spec',
    observed(object, { spec: { kind: 'Unsound', error: unsound } }),
    'Stalled',
    'True',
    'InvalidSpec',
    /payload\.schema/,
  ],
  ['unsound spec', observed(object, { spec: { kind: 'Unsound', error: unsound } }), 'Ready', 'False', 'InvalidSpec', /correct/i],
  [
    'name taken',
    observed(object, { failures: [{ subject: 'x', error: taken }] }),
    'Reconciled',
    'False',
    'NameTaken',
    /Deployment other.*rename/is,
  ],
  [
    'forbidden',
    observed(object, { failures: [{ subject: 'Deployment ndvi-consumer', error: forbidden }] }),
    'Ready',
    'False',
    'Forbidden',
    /^Deployment ndvi-consumer: .*Role/,
  ],
  [
    'missing Secret',
    observed(object, { references: [{ kind: 'Absent', reference: absentReference, error: missing }] }),
    'Reconciled',
    'False',
    'ReferenceMissing',
    /Secret s \(key k\).*Create the Secret/,
  ],
  [
    'missing Secret, Redis not asked',
    observed(object, {
      observation: { kind: 'None' },
      references: [{ kind: 'Absent', reference: absentReference, error: missing }],
    }),
    'RedisReachable',
    'False',
    'ReferenceMissing',
    /missing/,
  ],
  [
    'Redis away',
    observed(object, { observation: failedLook(object) }),
    'RedisReachable',
    'False',
    'RedisUnreachable',
    /redis:6379.*ECONNREFUSED.*Check the address/,
  ],
  [
    'Redis away',
    observed(object, { observation: failedLook(object) }),
    'ScalingActive',
    'False',
    'MetricsUnavailable',
    /onMetricsLoss \(Hold\)/,
  ],
  [
    'not asked yet',
    observed(object, { observation: { kind: 'None' } }),
    'Ready',
    'Unknown',
    'NotObservedYet',
    /within a few seconds/,
  ],
  ['no Deployment', observed(object, { deployment: undefined }), 'ConsumersAvailable', 'False', 'NoDeployment', /ndvi-consumer/],
  ['starting', observed(object, { ...starting, pods: [pod('p')] }), 'ConsumersAvailable', 'False', 'ConsumersStarting', /0 of 1/],
  [
    'no image',
    observed(object, { ...starting, pods: [pod('p', waiting('ImagePullBackOff', 'no such image'))] }),
    'Ready',
    'False',
    'ImagePullFailed',
    /Pod p: no such image\. Check spec\.consumer\.image/,
  ],
  [
    'crash loop',
    observed(object, { ...starting, pods: [pod('p', waiting('CrashLoopBackOff', ''))] }),
    'ConsumersAvailable',
    'False',
    'ConsumersCrashing',
    /exit code 64: bad config/,
  ],
  [
    'bad env',
    observed(object, { ...starting, pods: [pod('p', waiting('CreateContainerConfigError', 'secret "x" not found'))] }),
    'ConsumersAvailable',
    'False',
    'ContainerNotCreated',
    /secret "x" not found/,
  ],
  [
    'zero at rest',
    observed(pipelineObject({ scaling: { minReplicas: 0 } }), { deployment: deploymentObject(0, 0), observation: zero() }),
    'ConsumersAvailable',
    'True',
    'ScaledToZero',
    /until an entry arrives/,
  ],
  [
    'zero by hand, and entries wait',
    observed(byHand, { deployment: deploymentObject(0, 0), observation: seen(byHand, { undelivered: 7 }) }),
    'ConsumersAvailable',
    'True',
    'ScaledToZero',
    /^spec\.replicas is 0, as asked for/,
  ],
  ['Redis away, with earlier numbers', away, 'RedisReachable', 'False', 'RedisUnreachable', /are as of 2026-11-22T15:59:00Z$/],
  ['Redis away, with earlier numbers', away, 'DataIntact', 'True', 'NothingLost', /this is as of 2026-11-22T15:59:00Z$/],
  [
    'Deployments that were never listed',
    { ...unwatched('Deployment', 'deployments', false), deployment: undefined },
    'Stalled',
    'Unknown',
    'Forbidden',
    /^Whether the rollout has stopped is not known: deployments in farm cannot be watched/,
  ],
  [
    'Deployments that cannot be watched any more',
    unwatched('Deployment', 'deployments'),
    'ConsumersAvailable',
    'Unknown',
    'Forbidden',
    /^deployments in farm cannot be watched; when last seen, 1 of 1 consumers were ready: /,
  ],
  [
    'pipelines that cannot be watched any more',
    { ...unwatched('StreamPipeline', 'streampipelines'), spec: { kind: 'Unsound', error: unsound } },
    'Reconciled',
    'Unknown',
    'Forbidden',
    /^streampipelines in farm cannot be watched: /,
  ],
  [
    'suspended',
    observed(pipelineObject({ suspend: true }), {
      deployment: deploymentObject(0, 0),
      observation: seen(pipelineObject({ suspend: true })),
    }),
    'Ready',
    'True',
    'Suspended',
    /spec\.suspend/,
  ],
  [
    'manual',
    observed(pipelineObject({ scaling: { policy: 'Manual' } })),
    'ScalingActive',
    'False',
    'ManualReplicas',
    /spec\.replicas is obeyed/,
  ],
  ['not draining', observed(object), 'Drained', 'False', 'NotDraining', /Stream/],
  ['draining', direct({ pending: 4 }), 'Drained', 'False', 'Draining', /4 entries/],
  ['settled just now', direct({}, nowMs - 5_000), 'Drained', 'False', 'Draining', /two quiet minutes/],
  ['settled', direct({}, nowMs - 120_000), 'Drained', 'True', 'StreamSettled', /Every entry/],
  [
    'suspended under Direct, and entries wait',
    observed(pausedDirect, { observation: seen(pausedDirect, { undelivered: 5_000 }) }),
    'Drained',
    'False',
    'Draining',
    /5000 entries are still to be settled, and spec\.suspend/,
  ],
  [
    'suspended, and entries wait',
    observed(halted, { observation: seen(halted, { undelivered: 7 }) }),
    'Drained',
    'True',
    'StreamSettled',
    /^Consumers hold no entry\. 7 others wait/,
  ],
  ['reconciling disabled', observed(disabled), 'ScalingActive', 'False', 'ReconcileDisabled', /number of consumers stays/],
  [
    'lost entries',
    observed(object, { observation: seen(object, lostSample) }),
    'DataIntact',
    'False',
    'EntriesLost',
    /12345 entries.*maxEntries/,
  ],
  [
    'losses that a person acknowledged',
    observed(acknowledging('12345'), { observation: seen(object, lostSample) }),
    'DataIntact',
    'True',
    'LossesAcknowledged',
    /12345 lost entries are acknowledged/,
  ],
  [
    'more losses than were acknowledged',
    observed(acknowledging('12000'), { observation: seen(object, lostSample) }),
    'DataIntact',
    'False',
    'EntriesLost',
    /12345 entries.*12000 of them acknowledged.*acknowledged-losses: "12345"/,
  ],
  [
    'an acknowledgement that is no number',
    observed(acknowledging('all'), { observation: seen(object, lostSample) }),
    'DataIntact',
    'False',
    'EntriesLost',
    /12345 entries/,
  ],
  [
    'lost and taken entries',
    observed(object, { observation: seen(object, { ...lostSample, missing: takenByOthers }) }),
    'DataIntact',
    'False',
    'EntriesLost',
    /12345 entries.*Up to 7 entries.*XGROUP SETID \S+ \S+ 5-1/,
  ],
  [
    'taken entries',
    observed(object, { observation: seen(object, { missing: takenByOthers }) }),
    'DataIntact',
    'True',
    'EntriesUnaccounted',
    /Up to 7 entries in the stream.*XGROUP SETID \S+ \S+ 5-1 .*idempotency\.window/,
  ],
  [
    'undecided entries',
    observed(object, { observation: seen(object, { missing: { ...takenByOthers, undecided: 3 } }) }),
    'DataIntact',
    'Unknown',
    'EntriesUndecided',
    /3 entries were trimmed unread or taken/,
  ],
  [
    'pinned',
    observed(object, {
      observation: seen(object, { pin: { group: 'audit', kind: 'unread', id: '9-1', sinceMs: nowMs - 900_000 } }),
    }),
    'DataIntact',
    'True',
    'RetentionPinned',
    /entry 9-1, unread in group audit, for 15m.*ignoredGroups/,
  ],
  [
    'paused',
    observed(pipelineObject({}, { annotations: { 'streampipeline.dev/reconcile': 'disabled' } })),
    'Reconciled',
    'Unknown',
    'ReconcileDisabled',
    /annotation/,
  ],
]

function zero() {
  const idle = pipelineObject({ scaling: { minReplicas: 0 } })
  const look = seen(idle)
  return look.kind === 'Seen' ? { ...look, decision: { ...look.decision, replicas: 0 } } : look
}

function direct(more: Parameters<typeof seen>[1], quietSinceMs?: number): Observed {
  const going = pipelineObject({ mode: 'Direct' })
  return observed(going, { observation: seen(going, more, quietSinceMs) })
}

for (const [sentence, o, type, status, reason, message] of rows) {
  test(`${sentence}: ${type} is ${status}, ${reason}`, () => {
    const found = conditionOf(o, type)
    assert.deepEqual([found.status, found.reason], [status, reason], found.message)
    assert.match(found.message, message)
  })
}

test('every status fits the schema and has every condition, of this generation, whatever was observed', () => {
  for (const [, o] of rows) {
    const status = statusOf(o)
    statusSchema.parse(status)
    assert.deepEqual(
      status.conditions?.map(({ type }) => type),
      [...conditionTypes],
    )
    assert.ok(status.conditions?.every(({ observedGeneration }) => observedGeneration === 3))
  }
})

test('lastTransitionTime moves with the status of a condition only', () => {
  const first = statusOf(observed(object))
  const later = statusOf(observed({ ...object, status: first }, { observation: failedLook(object) }), nowMs + 60_000)
  const times = (status: StreamPipelineStatus) =>
    Object.fromEntries((status.conditions ?? []).map((c) => [c.type, c.lastTransitionTime]))
  assert.equal(times(later)['Reconciled'], '2026-11-22T16:00:00Z')
  assert.equal(times(later)['RedisReachable'], '2026-11-22T16:01:00Z')
})

test('the last ten decisions are kept, newest first', () => {
  let status: StreamPipelineStatus | undefined
  for (let n = 1; n <= 14; n++) {
    const look = seen(object)
    assert.ok(look.kind === 'Seen')
    const observation = { ...look, decision: { ...look.decision, replicas: n, reason: `reason ${n}` } }
    const current = status === undefined ? object : { ...object, status }
    status = statusOf(observed(current, { observation }), nowMs + n * 1000)
  }
  assert.equal(status?.scaling?.decisions?.length, 10)
  assert.equal(status?.scaling?.decisions?.[0], '2026-11-22T16:00:14Z  13 -> 14  reason 14')
})

test('consumers are counted by what pods and Redis say of them, the sick ones named', () => {
  const heartbeat = {
    uid: 'u',
    at: nowMs,
    serviceMs: 5,
    state: 'Running',
    inFlight: 0,
    path: '',
    forwarded: 0,
    duplicates: 0,
    dead: 0,
    reclaimed: 0,
  }
  const consumers: ConsumerSample[] = [
    { name: 'p1', uid: `${uid}/u1`, pending: 3, idleMs: 10, heartbeat },
    { name: 'p2', uid: `${uid}/u2`, pending: 120, idleMs: 60_000 },
    { name: 'gone', uid: `${uid}/u3`, pending: 12_345, idleMs: 124_000 },
    { name: 'stranger', pending: 5, idleMs: 10 },
    { name: 'by-hand', uid: 'local-laptop-1-2/u4', pending: 5, idleMs: 99_000 },
  ]
  const status = statusOf(observed(object, { pods: [pod('p1'), pod('p2'), pod('p3')], observation: seen(object, { consumers }) }))
  assert.deepEqual(status.consumers, {
    active: 1,
    starting: 1,
    stale: 1,
    vanished: 1,
    unhealthy: ['gone  Vanished  pending 12300  silent 2m00s', 'p2  Stale  pending 120  silent 1m00s'],
  })
})

test('of many sick consumers ten are named, those that matter most', () => {
  const consumers = Array.from({ length: 50 }, (_, n): ConsumerSample => {
    return { name: `gone-${n}`, uid: `${uid}/u${n}`, pending: n, idleMs: 60_000 }
  })
  const { consumers: reported } = statusOf(observed(object, { observation: seen(object, { consumers }) }))
  assert.equal(reported?.vanished, 50)
  assert.equal(reported?.unhealthy?.length, 10)
  assert.match(reported?.unhealthy?.[0] ?? '', /^gone-49 /)
})

test('a status is written at once for what matters, within ten seconds for numbers, never for nothing', () => {
  const before = statusOf(observed(object))
  const numbers = { ...before, backlog: { ...before.backlog, undelivered: 5 } }
  const matter = { ...before, readyReplicas: 9 }
  const reordered = JSON.parse(JSON.stringify(before, Object.keys(flat(before)).sort().reverse())) as StreamPipelineStatus
  assert.deepEqual(statusDue(before, reordered, nowMs, 10_000, nowMs), { kind: 'Never' })
  assert.deepEqual(statusDue(undefined, before, undefined, 10_000, nowMs), { kind: 'Now' })
  assert.deepEqual(statusDue(before, matter, nowMs, 10_000, nowMs), { kind: 'Now' })
  assert.deepEqual(statusDue(before, numbers, nowMs - 4_000, 10_000, nowMs), { kind: 'Later', afterMs: 6_000 })
  assert.deepEqual(statusDue(before, numbers, nowMs - 10_000, 10_000, nowMs), { kind: 'Now' })
  assert.deepEqual(statusDue(before, numbers, undefined, 10_000, nowMs), { kind: 'Now' })
})

function flat(value: unknown): Record<string, true> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.assign({}, ...Object.entries(value).map(([key, inner]) => ({ [key]: true, ...flat(inner) })))
}

test('Events report transitions: a failure, its cure, scaling; nothing while nothing changes', () => {
  const well = statusOf(observed(object))
  const away = statusOf(observed({ ...object, status: well }, { observation: failedLook(object) }))
  const reported = (before: StreamPipelineStatus | undefined, after: StreamPipelineStatus) =>
    eventsOf(before, after).map(({ type, reason }) => `${type} ${reason}`)
  assert.deepEqual(reported(undefined, well), ['Normal Ready'])
  assert.deepEqual(reported(well, well), [])
  assert.deepEqual(reported(well, away), ['Warning RedisUnreachable', 'Normal Scaled'])
  assert.deepEqual(reported(away, well), ['Normal RedisConnected', 'Normal Ready', 'Normal Scaled'])
})

test('each further loss is an Event of its own, also while the condition stands', () => {
  const lost = (count: number, before?: StreamPipelineStatus) =>
    statusOf(
      observed(
        { ...object, ...(before === undefined ? {} : { status: before }) },
        { observation: seen(object, { lost: count }) },
      ),
    )
  const notes = (before: StreamPipelineStatus, after: StreamPipelineStatus) =>
    eventsOf(before, after).map(({ type, reason, note }) => `${type} ${reason}: ${note.slice(0, 24)}`)
  const [none, first] = [lost(0), lost(5_000)]
  const second = lost(5_003, first)
  assert.deepEqual(notes(none, first), ['Warning EntriesLost: 5000 entries were trimme'])
  assert.deepEqual(notes(first, second), ['Warning EntriesLost: 3 more entries: 5003 ent'])
  assert.deepEqual(notes(second, lost(5_003, second)), [])
})

test('numbers are rounded so that they do not tick', () => {
  assert.deepEqual([0, 7, 100, 101, 1_204, 12_345, 999_999].map(roundCount), [0, 7, 100, 101, 1_200, 12_300, 1_000_000])
  assert.deepEqual([0, 999, 12_900, 75_000, 3_599_000, 7_200_000].map(roundAge), ['0s', '0s', '12s', '1m10s', '59m00s', '2h00m'])
})

test('a password without TLS is remarked on, and the condition stays True', () => {
  const reported = (redis: object, url?: string) => {
    const object = pipelineObject({ redis })
    const from = { kind: 'Secret', name: 'redis', key: 'url', field: 'spec.redis.urlFrom' } as const
    const references = url === undefined ? [] : [{ kind: 'Found', reference: from, value: url } as const]
    const { RedisReachable } = verdictsOf(observed(object, { references }), 1, nowMs)
    assert.deepEqual([RedisReachable.status, RedisReachable.reason], ['True', 'RedisConnected'])
    return RedisReachable.message.includes('travels unencrypted')
  }
  const passwordFrom = { secretKeyRef: { name: 'redis', key: 'password' } }
  const urlFrom = { secretKeyRef: { name: 'redis', key: 'url' } }
  const nodes = ['r:1']
  assert.equal(reported({ url: 'redis://redis:6379' }), false)
  assert.equal(reported({ url: 'redis://redis:6379', passwordFrom }), true)
  assert.equal(reported({ url: 'rediss://redis:6379', passwordFrom }), false)
  assert.equal(reported({ url: 'redis://127.0.0.1:6379', passwordFrom }), false)
  assert.equal(reported({ cluster: { nodes }, passwordFrom }), true)
  assert.equal(reported({ cluster: { nodes }, passwordFrom, tls: {} }), false)
  assert.equal(reported({ sentinel: { master: 'm', nodes, passwordFrom } }), true)
  assert.equal(reported({ urlFrom }, 'redis://u:p@redis:6379\n'), true)
  assert.equal(reported({ urlFrom }, 'rediss://u:p@redis:6379'), false)
  assert.equal(reported({ urlFrom }, 'redis://redis:6379'), false)
})

test('while reconciling is disabled the number is the Deployment’s, and no Event or decision says that it was scaled', () => {
  const before = statusOf(observed(object))
  const paused = { ...pipelineObject({}, { annotations: { 'streampipeline.dev/reconcile': 'disabled' } }), status: before }
  const o = observed(paused, { deployment: deploymentObject(3, 3), observation: seen(paused, { undelivered: 100_000 }) })
  const after = statusOf(o)
  assert.deepEqual([after.scaling?.desiredReplicas, after.scaling?.decisions], [3, before.scaling?.decisions])
  assert.deepEqual(
    eventsOf(before, after).filter(({ reason }) => reason === 'Scaled'),
    [],
  )
})

test('a number of the spec is its own cause, whatever the last look at Redis was', () => {
  const before = statusOf(observed(object))
  const cases: readonly (readonly [spec: Record<string, unknown>, reason: RegExp, limitedBy: string])[] = [
    [{ suspend: true }, /^suspended: 0$/, 'Suspend'],
    [{ scaling: { policy: 'Manual' }, replicas: 7 }, /^policy Manual: 7$/, 'Manual'],
  ]
  for (const [spec, reason, limitedBy] of cases) {
    const changed = { ...pipelineObject(spec), status: before }
    for (const observation of [failedLook(object), seen(object), { kind: 'None' } as const]) {
      const after = statusOf(observed(changed, { observation }))
      assert.match(after.scaling?.reason ?? '', reason, observation.kind)
      assert.equal(after.scaling?.limitedBy, limitedBy, observation.kind)
      const [event] = eventsOf(before, after).filter((note) => note.reason === 'Scaled')
      assert.match(event?.note ?? '', /: (?:suspended: 0|policy Manual: 7)$/, observation.kind)
    }
  }
})
