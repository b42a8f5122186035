/** Defaults that an administrator sets for all consumers, and how a pipeline replaces them. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { desiredChildren } from '../../../operator/plan/children.ts'
import { compileConsumerDefaults } from '../../../operator/plan/consumerdefaults.ts'
import { compilePodMonitorForm } from '../../../operator/plan/podmonitorform.ts'
import { observed, pipelineObject, read } from '../builder.ts'
import { at } from '../cluster.ts'

interface Given {
  readonly defaults?: object
  readonly consumer?: object
  readonly form?: object
  readonly more?: object
}

function children({ defaults = {}, consumer, form = {}, more = {} }: Given) {
  const object = pipelineObject(consumer === undefined ? {} : { consumer })
  const base = observed(object)
  const settings = {
    ...base.settings,
    networkPolicy: true,
    podMonitor: true,
    consumerDefaults: compileConsumerDefaults(JSON.stringify(defaults)),
    podMonitorForm: compilePodMonitorForm(JSON.stringify(form)),
    ...more,
  }
  return desiredChildren({ ...base, settings }, read(object), 'Stream').map((child) => child.object)
}

const ofKind = (given: Given, kind: string) => children(given).find((object) => object.kind === kind)
const template = (given: Given) => at(ofKind(given, 'Deployment'), 'spec.template')
const pod = (given: Given) => at(template(given), 'spec')

test('without defaults pods state requests and a limit of memory', () => {
  assert.deepEqual(at(pod({}), 'containers.0.resources'), {
    requests: { cpu: '100m', memory: '128Mi' },
    limits: { memory: '256Mi' },
  })
})

test('defaults reach every pipeline that states nothing', () => {
  const defaults = {
    imagePullSecrets: [{ name: 'pull' }],
    resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '1Gi' } },
    tolerations: [{ key: 'spot', operator: 'Exists' }],
    nodeSelector: { pool: 'spot' },
    affinity: { nodeAffinity: {} },
    priorityClassName: 'background',
    labels: { team: 'platform' },
    annotations: { 'sidecar.istio.io/inject': 'false' },
    env: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/ca/ca.crt' }],
    volumes: [{ name: 'ca', configMap: { name: 'ca' } }],
    volumeMounts: [{ name: 'ca', mountPath: '/ca' }],
    securityContext: { fsGroup: 2000 },
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule' }],
  }
  const spec = pod({ defaults })
  for (const field of ['imagePullSecrets', 'tolerations', 'nodeSelector', 'affinity', 'priorityClassName'] as const)
    assert.deepEqual(at(spec, field), defaults[field], field)
  assert.deepEqual(at(spec, 'containers.0.resources'), defaults.resources)
  assert.equal(at(spec, 'securityContext.fsGroup'), 2000)
  assert.equal(at(spec, 'securityContext.runAsNonRoot'), true)
  assert.equal(at(spec, 'containers.0.env.2.name'), 'NODE_EXTRA_CA_CERTS')
  assert.equal(at(spec, 'volumes.1.name'), 'ca')
  assert.deepEqual(at(spec, 'topologySpreadConstraints.0.labelSelector'), { matchLabels: { 'streampipeline.dev/name': 'ndvi' } })
  assert.equal(at(template({ defaults }), 'metadata.labels.team'), 'platform')
  assert.deepEqual(Object.keys(at(template({ defaults }), 'metadata.annotations') as object), [
    'sidecar.istio.io/inject',
    'streampipeline.dev/config',
  ])
})

test('what a pipeline states replaces a default, also when it is empty; labels and named items are merged', () => {
  const given = {
    defaults: {
      tolerations: [{ key: 'spot', operator: 'Exists' }],
      imagePullSecrets: [{ name: 'pull' }],
      priorityClassName: 'background',
      labels: { team: 'platform', tier: 'back' },
      env: [
        { name: 'A', value: 'default' },
        { name: 'B', value: 'default' },
      ],
      resources: { requests: { cpu: '1' }, limits: { memory: '1Gi' } },
    },
    consumer: {
      tolerations: [],
      priorityClassName: '',
      labels: { team: 'maps' },
      env: [{ name: 'A', value: 'own' }],
      resources: { requests: { memory: '64Mi' }, limits: { memory: '64Mi' } },
    },
  }
  const spec = pod(given)
  assert.equal(at(spec, 'tolerations'), undefined)
  assert.equal(at(spec, 'priorityClassName'), undefined)
  assert.deepEqual(at(spec, 'imagePullSecrets'), [{ name: 'pull' }])
  assert.deepEqual(at(spec, 'containers.0.resources'), given.consumer.resources)
  const env = at(spec, 'containers.0.env') as { name: string; value?: string }[]
  assert.deepEqual(
    env.slice(2).map(({ name, value }) => `${name}=${value}`),
    ['B=default', 'A=own'],
  )
  assert.equal(at(template(given), 'metadata.labels.team'), 'maps')
  assert.equal(at(template(given), 'metadata.labels.tier'), 'back')
})

test('common labels and annotations reach every object but pods, so that a version in them restarts nothing', () => {
  const given = {
    defaults: { commonLabels: { team: 'platform', 'helm.sh/chart': 'x-1' }, commonAnnotations: { owner: 'sre' } },
    consumer: { commonLabels: { team: 'maps', 'app.kubernetes.io/name': 'mine' } },
  }
  const objects = children(given)
  assert.deepEqual(objects.map(({ kind }) => kind).sort(), [
    'ConfigMap',
    'ConfigMap',
    'Deployment',
    'NetworkPolicy',
    'PodDisruptionBudget',
    'PodMonitor',
    'ServiceAccount',
  ])
  for (const { kind, metadata } of objects) {
    assert.equal(metadata.labels?.['team'], 'maps', kind ?? '')
    assert.equal(metadata.labels?.['helm.sh/chart'], 'x-1', kind ?? '')
    assert.equal(metadata.labels?.['app.kubernetes.io/name'], 'streampipeline', 'our own win')
    assert.equal(metadata.annotations?.['owner'], 'sre', kind ?? '')
  }
  assert.deepEqual(template(given), template({}))
})

test('PodMonitors carry the labels and intervals of the administrator', () => {
  const form = { labels: { release: 'prometheus' }, interval: '15s', metricRelabelings: [{ action: 'drop' }] }
  const monitor = ofKind({ form }, 'PodMonitor')
  assert.equal(monitor?.metadata.labels?.['release'], 'prometheus')
  assert.deepEqual(at(monitor, 'spec.podMetricsEndpoints'), [
    { port: 'http', interval: '15s', metricRelabelings: [{ action: 'drop' }] },
  ])
})

test('a policy opens further ports, where a Service has another port than its pods', () => {
  const policy = ofKind({ more: { networkPolicyPorts: [16_379] } }, 'NetworkPolicy')
  assert.deepEqual(at(policy, 'spec.egress.1.ports'), [
    { port: 6379, protocol: 'TCP' },
    { port: 16_379, protocol: 'TCP' },
  ])
})

const wrongDefaults: readonly (readonly [text: string, message: RegExp])[] = [
  ['{', /it is no JSON/],
  ['[]', /write a JSON object/],
  ['{"image":"x"}', /image has no default; known: labels/],
  ['{"labels":{"a":1}}', /spec\.consumer\.labels/],
  ['{"labels":{"streampipeline.dev/name":"x"}}', /choose another prefix/],
  ['{"resources":{"limits":{"memory":"256MB"}}}', /write a quantity/],
  ['{"priorityClassName":"Not A Name"}', /spec\.consumer\.priorityClassName/],
]
for (const [text, message] of wrongDefaults) {
  test(`--consumer-defaults ${text} is refused`, () => {
    assert.throws(
      () => compileConsumerDefaults(text),
      (thrown: Error) => thrown.message.startsWith('--consumer-defaults: ') && message.test(thrown.message),
    )
  })
}

const wrongForms: readonly (readonly [text: string, message: RegExp])[] = [
  ['{', /it is no JSON/],
  ['3', /write a JSON object/],
  ['{"label":{}}', /label is none of labels/],
  ['{"interval":"often"}', /interval is not a duration/],
  ['{"labels":{"a":1}}', /labels is not a map of texts/],
]
for (const [text, message] of wrongForms) {
  test(`--pod-monitor-form ${text} is refused`, () => {
    assert.throws(
      () => compilePodMonitorForm(text),
      (thrown: Error) => thrown.message.startsWith('--pod-monitor-form: ') && message.test(thrown.message),
    )
  })
}
