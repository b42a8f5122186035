/** What clusters and parent charts ask of a chart: labels, registries, security contexts, placement, and more objects. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { values } from '../../../build/chart/values.ts'
import { compileOptions } from '../../../operator/options.ts'
import { defaultableFields } from '../../../operator/plan/consumerdefaults.ts'
import { at } from '../../operator/cluster.ts'
import { everything, type Manifest, needsHelm, render, template } from './chart.ts'

type Values = Readonly<Record<string, unknown>>

const ofKind = (manifests: readonly Manifest[], kind: string) => manifests.find((manifest) => manifest.kind === kind)
const pods = (manifests: readonly Manifest[]) => [at(ofKind(manifests, 'Deployment'), 'spec.template'), ofKind(manifests, 'Pod')]
const args = (manifests: readonly Manifest[]) =>
  at(ofKind(manifests, 'Deployment'), 'spec.template.spec.containers.0.args') as readonly string[]

test('common labels and annotations are on every object, and change no pod of the Deployment', needsHelm, async (t) => {
  const common: Values = {
    'global.commonLabels': { tenant: 'parent', team: 'parent' },
    commonLabels: { team: 'maps', 'app.kubernetes.io/name': 'mine' },
    commonAnnotations: { owner: 'sre' },
  }
  const [plain, labelled] = await Promise.all([render(t, everything), render(t, { ...everything, ...common })])
  for (const { kind, metadata } of labelled) {
    const { labels, annotations } = metadata as { labels?: Record<string, string>; annotations?: Record<string, string> }
    const expected = { tenant: 'parent', team: 'maps', 'app.kubernetes.io/name': 'streampipeline-operator' }
    assert.deepEqual({ ...labels, ...expected }, labels, kind)
    assert.equal(annotations?.['owner'], 'sre', kind)
  }
  const templateOf = (manifests: readonly Manifest[]) => at(ofKind(manifests, 'Deployment'), 'spec.template')
  assert.deepEqual(templateOf(labelled), templateOf(plain))
})

test('the version of the chart is in no pod of the Deployment', needsHelm, async (t) => {
  const { metadata } = at(ofKind(await render(t), 'Deployment'), 'spec.template') as { metadata: unknown }
  assert.doesNotMatch(JSON.stringify(metadata), /version|helm\.sh/)
})

test('one registry and its secrets, set by a parent chart, hold for both images and every pod', needsHelm, async (t) => {
  const manifests = await render(t, {
    'global.imageRegistry': 'registry.example.com',
    'global.imagePullSecrets': [{ name: 'parents' }],
    imagePullSecrets: [{ name: 'own' }, { name: 'parents' }],
    'global.somethingElse': { of: 'the parent' },
  })
  for (const pod of pods(manifests)) {
    assert.match(String(at(pod, 'spec.containers.0.image')), /^registry\.example\.com\/streampipeline\/operator:/)
    assert.deepEqual(at(pod, 'spec.imagePullSecrets'), [{ name: 'own' }, { name: 'parents' }])
  }
  assert.ok(args(manifests).some((arg) => arg.startsWith('--consumer-image=registry.example.com/streampipeline/consumer:')))
})

test('by default images name localhost, a registry that belongs to nobody', needsHelm, async (t) => {
  for (const pod of pods(await render(t)))
    assert.match(String(at(pod, 'spec.containers.0.image')), /^localhost\/streampipeline\//)
})

test('no pod names its user, and each states requests and a limit of memory', needsHelm, async (t) => {
  for (const pod of pods(await render(t))) {
    assert.doesNotMatch(JSON.stringify(pod), /runAsUser|runAsGroup|fsGroup/)
    assert.equal(at(pod, 'spec.securityContext.runAsNonRoot'), true)
    for (const path of ['requests.cpu', 'requests.memory', 'limits.memory'])
      assert.ok(at(pod, `spec.containers.0.resources.${path}`), path)
  }
})

test('what a platform asks of pods goes to them', needsHelm, async (t) => {
  const manifests = await render(t, {
    'podSecurityContext.runAsUser': 1000680000,
    'containerSecurityContext.runAsUser': 1000680000,
    volumes: [{ name: 'ca', configMap: { name: 'ca' } }],
    volumeMounts: [{ name: 'ca', mountPath: '/ca' }],
    env: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/ca/ca.crt' }],
    extraArgs: ['--kubeconfig=/x'],
    affinity: { nodeAffinity: {} },
    podDnsPolicy: 'None',
    podDnsConfig: { nameservers: ['10.0.0.10'] },
    hostAliases: [{ ip: '10.0.0.1', hostnames: ['redis'] }],
    'global.priorityClassName': 'platform',
    'global.revisionHistoryLimit': 0,
    'readinessProbe.timeoutSeconds': 9,
    'podDisruptionBudget.minAvailable': '50%',
    'metrics.service.ipFamilyPolicy': 'PreferDualStack',
    'metrics.service.ipFamilies': ['IPv6', 'IPv4'],
    'metrics.service.annotations': { a: 'b' },
    'serviceAccount.annotations': { 'eks.amazonaws.com/role-arn': 'arn:x' },
    strategy: { type: 'Recreate' },
  })
  const deployment = ofKind(manifests, 'Deployment')
  const expected: readonly (readonly [path: string, value: unknown])[] = [
    ['spec.revisionHistoryLimit', 0],
    ['spec.strategy', { type: 'Recreate' }],
    ['spec.template.spec.securityContext.runAsUser', 1000680000],
    ['spec.template.spec.securityContext.runAsNonRoot', true],
    ['spec.template.spec.containers.0.securityContext.runAsUser', 1000680000],
    ['spec.template.spec.containers.0.volumeMounts', [{ name: 'ca', mountPath: '/ca' }]],
    ['spec.template.spec.volumes', [{ name: 'ca', configMap: { name: 'ca' } }]],
    ['spec.template.spec.affinity', { nodeAffinity: {} }],
    ['spec.template.spec.topologySpreadConstraints.0.topologyKey', 'kubernetes.io/hostname'],
    ['spec.template.spec.dnsPolicy', 'None'],
    ['spec.template.spec.dnsConfig', { nameservers: ['10.0.0.10'] }],
    ['spec.template.spec.hostAliases', [{ ip: '10.0.0.1', hostnames: ['redis'] }]],
    ['spec.template.spec.priorityClassName', 'platform'],
    ['spec.template.spec.containers.0.readinessProbe.timeoutSeconds', 9],
  ]
  for (const [path, value] of expected) assert.deepEqual(at(deployment, path), value, path)
  assert.equal(args(manifests).at(-1), '--kubeconfig=/x')
  assert.equal(at(ofKind(manifests, 'PodDisruptionBudget'), 'spec.minAvailable'), '50%')
  const service = ofKind(manifests, 'Service')
  assert.deepEqual(at(service, 'spec.ipFamilies'), ['IPv6', 'IPv4'])
  assert.deepEqual(service?.metadata.annotations, { a: 'b' })
  assert.equal(ofKind(manifests, 'ServiceAccount')?.metadata.annotations?.['eks.amazonaws.com/role-arn'], 'arn:x')
})

test('monitors carry any label, interval and relabeling, and may stand in the namespace of Prometheus', needsHelm, async (t) => {
  const manifests = await render(t, {
    ...everything,
    'metrics.serviceMonitor.namespace': 'monitoring',
    'metrics.serviceMonitor.labels': { release: 'prometheus' },
    'metrics.serviceMonitor.scrapeTimeout': '5s',
    'metrics.serviceMonitor.metricRelabelings': [{ action: 'drop' }],
    'metrics.podMonitor.labels': { release: 'prometheus' },
    'alerts.namespace': 'monitoring',
    'dashboards.namespace': 'monitoring',
    'dashboards.annotations': { folder: 'queues' },
  })
  const monitor = ofKind(manifests, 'ServiceMonitor')
  assert.equal(monitor?.metadata.namespace, 'monitoring')
  assert.deepEqual(at(monitor, 'spec.namespaceSelector.matchNames'), ['ops'])
  assert.equal(at(monitor, 'spec.endpoints.0.scrapeTimeout'), '5s')
  assert.equal(ofKind(manifests, 'PrometheusRule')?.metadata.namespace, 'monitoring')
  assert.equal(ofKind(manifests, 'ConfigMap')?.metadata.namespace, 'monitoring')
  assert.ok(args(manifests).includes('--pod-monitor-form={"interval":"30s","labels":{"release":"prometheus"}}') === false)
  assert.ok(args(manifests).includes('--pod-monitor-form={"labels":{"release":"prometheus"}}'))
})

test('defaults for consumers have the fields that the operator takes, and reach it as it reads them', needsHelm, async (t) => {
  const group = values['consumerDefaults']
  assert.ok(group !== undefined && 'fields' in group)
  assert.deepEqual(Object.keys(group.fields).sort(), [...defaultableFields].sort())
  assert.ok(!args(await render(t)).some((arg) => arg.startsWith('--consumer-defaults')))
  const manifests = await render(t, {
    'consumerDefaults.labels': { 'a.b/c': 'x"y\\z' },
    'consumerDefaults.annotations': { note: 'it’s <b> & "q"' },
    'consumerDefaults.tolerations': [{ key: 'spot', operator: 'Exists' }],
  })
  const flag = args(manifests).find((arg) => arg.startsWith('--consumer-defaults='))
  const text = flag?.slice('--consumer-defaults='.length) ?? ''
  const { consumerDefaults } = compileOptions({
    consumerImage: 'x',
    consumerDefaults: text,
    env: {},
    signal: new AbortController().signal,
  })
  assert.deepEqual(consumerDefaults.annotations, { note: 'it’s <b> & "q"' })
  assert.deepEqual(consumerDefaults.tolerations, [{ key: 'spot', operator: 'Exists' }])
})

test('more objects are rendered, as objects or as texts', needsHelm, async (t) => {
  const manifests = await render(t, {
    extraObjects: [
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: '{{ .Release.Name }}-one' } },
      'apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}-two\n',
    ],
  })
  const names = manifests.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name)
  assert.deepEqual(names, ['test-one', 'test-two'])
})

test('a parent chart may pass anything in global', needsHelm, async (t) => {
  assert.equal((await template(t, { global: { storageClass: 'fast' } })).code, 0)
  assert.notEqual((await template(t, { 'global.imageRegistry': 3 })).code, 0)
})
