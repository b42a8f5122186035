import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { compilePipeline } from '../../../api/compile.ts'
import type { Reference } from '../../../api/compiled.ts'
import { failure } from '../../../api/errors.ts'
import { loadPipelines } from '../../../api/load.ts'
import { parsePipeline } from '../../../api/validate.ts'
import { ownerReferenceOf } from '../../../operator/plan/names.ts'
import type { Observed, ReferenceState } from '../../../operator/plan/observed.ts'
import { plan as planFor, targetOf } from '../../../operator/plan/plan.ts'
import { deploymentStages } from '../../../operator/plan/replicas.ts'
import { report } from '../../../operator/report.ts'
import { dispatchVariable, parseDispatchConfig } from '../../../redis/dispatchconfig.ts'
import { deploymentObject, nowMs, observed, pipelineObject, seen } from '../builder.ts'
import { at } from '../cluster.ts'

/** The whole decision, with nothing gone wrong. */
const plan = (o: Observed, atMs: number) => {
  const target = targetOf(o, atMs)
  return { ...target, ...planFor(o, target), ...report(o, atMs) }
}
const child = (o: Observed, kind: string, name = 'ndvi-consumer') =>
  plan(o, nowMs).apply.find(({ object }) => object.kind === kind && object.metadata.name === name)?.object
const names = (o: Observed) =>
  plan(o, nowMs)
    .apply.map(({ object }) => `${object.kind} ${object.metadata.name}`)
    .sort()
const signatureOf = (o: Observed) => at(child(o, 'Deployment'), 'spec.template.metadata.annotations')
const reference: Reference = { kind: 'Secret', name: 'redis-auth', key: 'password', field: 'spec.redis.passwordFrom' }
const found = (value: string): ReferenceState => ({ kind: 'Found', reference, value })

test('the same observation gives the same plan', () => {
  const object = pipelineObject()
  assert.deepEqual(plan(observed(object), nowMs), plan(observed(pipelineObject()), nowMs))
})

test('policy and scrape are made only where flags ask for them, and taken away when they no longer do', () => {
  const object = pipelineObject()
  const plain = observed(object)
  const full = observed(object, { settings: { ...plain.settings, networkPolicy: true, podMonitor: true } })
  assert.deepEqual(
    names(full).filter((name) => !names(plain).includes(name)),
    ['NetworkPolicy ndvi-consumer', 'PodMonitor ndvi-consumer'],
  )
  const left = { ...child(full, 'NetworkPolicy') }
  const metadata = { ...left.metadata, ownerReferences: [ownerReferenceOf(object)] }
  const surplus = plan(observed(object, { children: [{ ...left, metadata: metadata ?? {} }] }), nowMs).delete
  assert.deepEqual(
    surplus.map(({ type }) => type.kind),
    ['NetworkPolicy'],
  )
  const strangers = { ...left, metadata: { ...left.metadata, ownerReferences: [] } }
  assert.deepEqual(plan(observed(object, { children: [strangers as never] }), nowMs).delete, [])
})

test("a ServiceAccount of the user's own takes the place of ours, and still mounts no token", () => {
  const o = observed(pipelineObject({ consumer: { serviceAccountName: 'mine' } }))
  assert.ok(!names(o).includes('ServiceAccount ndvi-consumer'))
  const pod = at(child(o, 'Deployment'), 'spec.template.spec')
  assert.equal(at(pod, 'serviceAccountName'), 'mine')
  assert.equal(at(pod, 'automountServiceAccountToken'), false)
})

test('overrides of the pod are taken over, and the labels that find it cannot be overridden', () => {
  const consumer = {
    image: 'mine:2',
    env: [{ name: 'A', value: 'b' }],
    labels: { team: 'maps', 'app.kubernetes.io/instance': 'other' },
    nodeSelector: { disk: 'ssd' },
    terminationGracePeriodSeconds: 90,
    volumes: [{ name: 'tmp', emptyDir: {} }],
    volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
  }
  const template = at(child(observed(pipelineObject({ consumer })), 'Deployment'), 'spec.template')
  assert.equal(at(template, 'spec.containers.0.image'), 'mine:2')
  assert.deepEqual(
    (at(template, 'spec.containers.0.env') as { name: string }[]).map(({ name }) => name),
    ['POD_NAME', 'POD_UID', 'A'],
  )
  const labels = at(template, 'metadata.labels') as Record<string, string>
  assert.deepEqual([labels['team'], labels['app.kubernetes.io/instance']], ['maps', 'ndvi'])
  assert.deepEqual(at(template, 'spec.nodeSelector'), { disk: 'ssd' })
  assert.equal(at(template, 'spec.terminationGracePeriodSeconds'), 90)
  assert.equal(at(template, 'spec.tolerations'), undefined, 'what is not set is not claimed')
})

test('what a spec says of replicas is done before the next look, and what a look decided is kept until then', () => {
  const looked = pipelineObject({ scaling: { maxReplicas: 20 } })
  const observation = seen(looked)
  assert.ok(observation.kind === 'Seen')
  const eight = { ...observation, decision: { ...observation.decision, replicas: 8 } }
  const replicas = (spec: Record<string, unknown>, more: Partial<Observed> = {}) =>
    targetOf(observed(pipelineObject(spec), { observation: eight, deployment: deploymentObject(8, 8), ...more }), nowMs)?.replicas
  const manual = { scaling: { policy: 'Manual' }, replicas: 3 }
  assert.deepEqual([replicas({ suspend: true }), replicas(manual), replicas({ scaling: { targetAge: '5s' } })], [0, 3, 8])
  const none = { observation: { kind: 'None' } } as const
  assert.deepEqual([replicas({ suspend: true }, none), replicas(manual, none), replicas({}, none)], [0, 3, 8])
})

const rolls: readonly (readonly [string, Record<string, unknown>, boolean])[] = [
  ['batch size', { source: { stream: 'ndvi:jobs', group: 'ndvi', batchSize: 5 } }, true],
  ['payload schema', { payload: { schema: { type: 'object' } } }, true],
  ['log level', { consumer: { logLevel: 'Debug' } }, true],
  ['mode', { mode: 'Direct' }, false],
  ['suspend', { suspend: true }, false],
  ['replicas', { replicas: 4 }, false],
  ['scaling', { scaling: { maxReplicas: 20 } }, false],
]
for (const [what, spec, rolled] of rolls) {
  test(`a changed ${what} ${rolled ? 'rolls' : 'does not roll'} the pods`, () => {
    const before = signatureOf(observed(pipelineObject()))
    const after = signatureOf(observed(pipelineObject(spec)))
    assert.equal(JSON.stringify(before) !== JSON.stringify(after), rolled)
  })
}

test('a changed Secret rolls the pods; the signature depends on the key and shows nothing of the value', () => {
  const object = pipelineObject({
    redis: { url: 'redis://r:6379', passwordFrom: { secretKeyRef: { name: 'redis-auth', key: 'password' } } },
  })
  const one = observed(object, { references: [found('one')] })
  const two = observed(object, { references: [found('two')] })
  assert.notDeepEqual(signatureOf(one), signatureOf(two))
  assert.notDeepEqual(signatureOf(one), signatureOf({ ...one, settings: { ...one.settings, signingKey: Buffer.alloc(32, 8) } }))
  assert.doesNotMatch(JSON.stringify(plan(one, nowMs)), /"one"/)
})

test('a pipeline whose Secret is missing gets everything but the Deployment and its configuration', () => {
  const error = failure('ReferenceMissing', { ...reference, detail: 'there is no such Secret in farm' })
  const o = observed(pipelineObject(), { references: [{ kind: 'Absent', reference, error }] })
  assert.deepEqual(names(o), ['ConfigMap ndvi-dispatch', 'PodDisruptionBudget ndvi-consumer', 'ServiceAccount ndvi-consumer'])
})

test("the consumer's configuration is read back as the same pipeline", () => {
  const spec = {
    payload: { schema: { enum: ['y', 'no', '12:30', '1e3', '0x1f', '~', null] } },
    sink: { bullmq: { queue: 'off' } },
  }
  const object = pipelineObject(spec)
  const text = String(at(child(observed(object), 'ConfigMap'), 'data')?.['pipeline.yaml' as never])
  const [loaded] = loadPipelines(text, 'pipeline.yaml')
  const back = compilePipeline(parsePipeline(loaded?.document))
  const whole = compilePipeline(parsePipeline(object))
  assert.deepEqual({ ...back, generation: 3 }, whole)
  assert.deepEqual(parse(text, { version: '1.1' }).spec.payload.schema, spec.payload.schema)
})

test('the dispatch configuration has exactly the agreed shape', () => {
  const object = pipelineObject({
    source: { stream: 'ndvi:jobs', group: 'ndvi', retention: { maxEntries: 1000 } },
    payload: { idempotencyKey: ['request_hash'], schema: { type: 'object' } },
  })
  const data = at(child(observed(object), 'ConfigMap', 'ndvi-dispatch'), 'data') as Record<string, string>
  assert.deepEqual(Object.keys(data), [dispatchVariable])
  const { jobOptions, ...reported } = JSON.parse(data[dispatchVariable] ?? '')
  assert.deepEqual(reported, {
    version: 1,
    mode: 'Stream',
    stream: 'ndvi:jobs',
    group: 'ndvi',
    deadLetters: '{ndvi:jobs}:dead',
    scope: reported.scope,
    queue: 'ndvi',
    prefix: 'bull',
    jobName: 'process',
    windowMs: 86_400_000,
    lockTtlMs: 30_000,
    encoding: 'Fields',
    field: '',
    schema: { type: 'object' },
    idempotencyKey: ['request_hash'],
    maxBytes: 262_144,
    maxFields: 64,
    maxEntries: 1000,
    queueElsewhere: false,
  })
  assert.match(reported.scope, /^[\w-]{10}$/)
  assert.ok(jobOptions.attempts >= 1)
  assert.deepEqual(parseDispatchConfig(data[dispatchVariable]), { ...reported, jobOptions }, 'as the library reads it')
})

const publishes: readonly (readonly [
  string,
  'Stream' | 'Direct',
  'Stream' | 'Direct' | undefined,
  number,
  boolean,
  'Stream' | 'Direct',
])[] = [
  ['a new pipeline publishes its mode', 'Stream', undefined, 0, false, 'Stream'],
  ['Direct is published at once, whatever Redis and consumers do', 'Direct', 'Stream', 0, false, 'Direct'],
  ['Stream waits for Redis', 'Stream', 'Direct', 1, false, 'Direct'],
  ['Stream waits for a consumer', 'Stream', 'Direct', 0, true, 'Direct'],
  ['Stream is published once Redis answers and a consumer is ready', 'Stream', 'Direct', 1, true, 'Stream'],
  ['what is published stays while Redis is away', 'Stream', 'Stream', 0, false, 'Stream'],
]
for (const [sentence, mode, published, ready, answers, expected] of publishes) {
  test(sentence, () => {
    const object = pipelineObject({ mode })
    const data = { [dispatchVariable]: JSON.stringify({ mode: published }) }
    const o = observed(object, {
      deployment: deploymentObject(1, ready),
      observation: answers ? seen(object) : { kind: 'None' },
      dispatch: published === undefined ? undefined : { metadata: {}, data },
    })
    assert.equal(plan(o, nowMs).mode, expected)
  })
}

test('a suspended pipeline sends no producer to its stream, though consumers still run; a rollback does not wait', () => {
  const published = (mode: string, was: string) => {
    const object = pipelineObject({ mode, suspend: true })
    const dispatch = { metadata: {}, data: { [dispatchVariable]: JSON.stringify({ mode: was }) } }
    return plan(observed(object, { deployment: deploymentObject(1, 1), observation: seen(object), dispatch }), nowMs).mode
  }
  assert.deepEqual([published('Stream', 'Direct'), published('Stream', 'Stream')], ['Direct', 'Stream'])
  assert.equal(published('Direct', 'Stream'), 'Direct')
})

test('paused or unsound, a pipeline gets a status and nothing else', () => {
  const paused = pipelineObject({}, { annotations: { 'streampipeline.dev/reconcile': 'disabled' } })
  const unsound = failure('InvalidPipeline', { subject: 'ndvi', problems: 'spec.redis: too many ways' })
  for (const o of [observed(paused), observed(pipelineObject(), { spec: { kind: 'Unsound', error: unsound } })]) {
    assert.equal(targetOf(o, nowMs), undefined)
    const { apply, status, delete: removed } = plan(o, nowMs)
    assert.deepEqual([apply, removed], [[], []])
    assert.equal(status.conditions?.length, 8)
  }
})

const replicas: readonly (readonly [string, Record<string, unknown>, Partial<Observed>, number])[] = [
  ['before Redis was asked, what runs goes on', {}, { observation: { kind: 'None' }, deployment: deploymentObject(4, 4) }, 4],
  [
    'a new pipeline starts with its least',
    { scaling: { minReplicas: 2 } },
    { observation: { kind: 'None' }, deployment: undefined },
    2,
  ],
  ['a suspended one with none', { suspend: true }, { observation: { kind: 'None' }, deployment: undefined }, 0],
  ['under Manual with what was asked for', { replicas: 3, scaling: { policy: 'Manual' } }, { observation: { kind: 'None' } }, 3],
]
for (const [sentence, spec, more, expected] of replicas) {
  test(sentence, () => assert.equal(plan(observed(pipelineObject(spec), more), nowMs).replicas, expected))
}

test('replicas: created by the main manager, then owned by the scaler alone, also after a creation cut short', () => {
  const desired = deploymentObject(0, 0)
  const { spec: _, ...withoutSpec } = desired
  const stages = (live: typeof desired | undefined) =>
    deploymentStages(withoutSpec, 2, live).map(({ manager, object }) => `${manager} ${String(at(object, 'spec.replicas'))}`)
  assert.deepEqual(stages(undefined), ['streampipeline 2', 'streampipeline-scaler 2', 'streampipeline undefined'])
  const owned = (manager: string) => ({
    ...deploymentObject(5, 5),
    metadata: { ...desired.metadata, managedFields: [{ manager, fieldsV1: { 'f:spec': { 'f:replicas': {} } } }] },
  })
  assert.deepEqual(stages(owned('streampipeline')), ['streampipeline-scaler 5', 'streampipeline undefined'])
  assert.deepEqual(stages(owned('streampipeline-scaler')), ['streampipeline undefined'])
})

test('a policy lets consumers out to DNS and to Redis, and leaves egress open where servers announce their ports', () => {
  const egress = (redis: object) => {
    const plain = observed(pipelineObject({ redis }))
    const policy = child({ ...plain, settings: { ...plain.settings, networkPolicy: true } }, 'NetworkPolicy')
    return JSON.stringify(at(policy, 'spec.egress'))
  }
  assert.match(egress({ url: 'redis://redis:6380/0' }), /"port":53,.*\[\{"port":6380,"protocol":"TCP"\}\]/)
  assert.match(egress({ url: 'redis://redis/0' }), /"port":6379/)
  assert.equal(egress({ cluster: { nodes: ['r1:6379'] } }), undefined)
})

test('where an administrator says in which networks Redis is, consumers get no further', () => {
  const egress = (redis: object, networks: readonly string[]) => {
    const plain = observed(pipelineObject({ redis }))
    const settings = { ...plain.settings, networkPolicy: true, networkPolicyRedis: networks }
    const policy = child({ ...plain, settings }, 'NetworkPolicy')
    return (at(policy, 'spec.egress') as { ports?: unknown; to?: unknown }[]).slice(1)
  }
  const farm = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'farm' } } }
  const data = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'data' } } }
  const ipBlock = { ipBlock: { cidr: '10.0.0.0/8' } }
  const ports = [{ port: 6379, protocol: 'TCP' }]
  assert.deepEqual(egress({ url: 'redis://redis:6379' }, []), [{ ports, to: [farm] }])
  assert.deepEqual(egress({ url: 'redis://redis.data.svc' }, ['10.0.0.0/8']), [{ ports, to: [data, ipBlock] }])
  assert.deepEqual(egress({ url: 'redis://redis.data.svc.cluster.local' }, []), [{ ports, to: [data] }])
  assert.deepEqual(egress({ url: 'redis://redis.example.com' }, ['10.0.0.0/8']), [{ ports, to: [ipBlock] }])
  assert.deepEqual(egress({ url: 'redis://redis.example.com' }, []), [], 'no peers would be all of them')
  assert.deepEqual(egress({ cluster: { nodes: ['r1:6379', 'r2.data.svc:6379'] } }, ['10.0.0.0/8']), [
    { to: [data, farm, ipBlock] },
  ])
})

test('a security context is laid over the pod’s restricted one, and never changes the container’s', () => {
  const context = (securityContext?: object) => {
    const deployment = child(
      observed(pipelineObject({ consumer: securityContext === undefined ? {} : { securityContext } })),
      'Deployment',
    )
    assert.deepEqual(at(deployment, 'spec.template.spec.containers.0.securityContext'), {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    return at(deployment, 'spec.template.spec.securityContext')
  }
  const seccompProfile = { type: 'RuntimeDefault' }
  assert.deepEqual(context(), { runAsNonRoot: true, seccompProfile })
  assert.deepEqual(context({}), { runAsNonRoot: true, seccompProfile })
  assert.deepEqual(context({ fsGroup: 2000 }), { runAsNonRoot: true, seccompProfile, fsGroup: 2000 })
  assert.deepEqual(context({ runAsUser: 1000, runAsNonRoot: true }), { runAsNonRoot: true, seccompProfile, runAsUser: 1000 })
  assert.deepEqual(context({ runAsNonRoot: false }), { runAsNonRoot: false, seccompProfile })
  assert.deepEqual(context({ seccompProfile: { type: 'Localhost', localhostProfile: 'x' } }), {
    runAsNonRoot: true,
    seccompProfile: { type: 'Localhost', localhostProfile: 'x' },
  })
  assert.deepEqual(context({ runAsUser: 0 }), { seccompProfile, runAsUser: 0 }, 'what runs as root goes on')
})
