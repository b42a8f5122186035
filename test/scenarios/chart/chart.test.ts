/** The output of the chart, its refusals, and whether a real API server accepts it. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { parse } from 'yaml'
import { crd } from '../../../api/crd.ts'
import { alertGroups, runbookName } from '../../../build/chart/alerts.ts'
import { dashboard } from '../../../build/chart/dashboard.ts'
import { policyRule, rbacRules } from '../../../operator/rights.ts'
import { needsApiServer, ordinary, startApiServer } from '../../support/apiserver.ts'
import { projectRoot } from '../../support/root.ts'
import { eventually } from '../../support/wait.ts'
import { chartFolder, everything, helm, type Manifest, monitoringKinds, needsHelm, render, template } from './chart.ts'

const kinds = (manifests: readonly Manifest[]) => manifests.map(({ kind }) => kind).sort()
const ofKind = (manifests: readonly Manifest[], kind: string) => manifests.filter((manifest) => manifest.kind === kind)

test('helm lint finds nothing', needsHelm, async (t) => {
  const { code, stdout, stderr } = await helm(t, 'lint', '--strict', chartFolder)
  assert.equal(code, 0, stdout + stderr)
})

test(
  'by default: two restricted operator pods with all namespaces, and nothing that needs another product',
  needsHelm,
  async (t) => {
    const manifests = await render(t)
    assert.deepEqual(kinds(manifests), [
      'ClusterRole',
      'ClusterRole',
      'ClusterRole',
      'ClusterRole',
      'ClusterRoleBinding',
      'CustomResourceDefinition',
      'Deployment',
      'Pod',
      'PodDisruptionBudget',
      'Role',
      'RoleBinding',
      'Service',
      'ServiceAccount',
    ])
    const [deployment] = ofKind(manifests, 'Deployment')
    const spec = deployment?.['spec'] as { replicas: number; template: { spec: { containers: { args: string[] }[] } } }
    assert.equal(spec.replicas, 2)
    assert.deepEqual(
      spec.template.spec.containers[0]?.args.filter((arg) => !arg.startsWith('--consumer-image=')),
      ['operator', '--log-level=info', '--decision-log=changes', '--metrics=:8080', '--health=:8081', '--local-redis=refuse'],
    )
  },
)

test('confined to namespaces there is no ClusterRole, and each namespace has its Role', needsHelm, async (t) => {
  const manifests = await render(t, { namespaces: ['farm', 'mill'], ...everything })
  assert.deepEqual(
    manifests.filter(({ kind }) => kind.startsWith('ClusterRole')).map(({ metadata }) => metadata.name),
    [],
  )
  const roles = ofKind(manifests, 'Role').filter(({ metadata }) => !/-(view|edit|admin)$/.test(metadata.name))
  assert.deepEqual(roles.map(({ metadata }) => metadata.namespace).sort(), ['farm', 'mill', 'ops'])
  const rules = (where: 'Pipelines' | 'Own') => rbacRules.filter((right) => right.where === where).map(policyRule)
  for (const { metadata, rules: rendered } of roles) {
    assert.deepEqual(rendered, rules(metadata.namespace === 'ops' ? 'Own' : 'Pipelines'))
  }
  const [deployment] = ofKind(manifests, 'Deployment')
  const text = JSON.stringify(deployment)
  for (const flag of ['--namespaces=farm,mill', '--network-policy', '--pod-monitor']) assert.ok(text.includes(flag), flag)
})

test('confined to namespaces there are Roles for users, each with all that the lesser ones have', needsHelm, async (t) => {
  const roles = ofKind(await render(t, { namespaces: ['farm'] }), 'Role')
  const verbs = (role: string) => {
    const found = roles.find(({ metadata }) => metadata.namespace === 'farm' && metadata.name.endsWith(`-${role}`))
    const rules = (found?.['rules'] ?? []) as readonly {
      readonly resources: readonly string[]
      readonly verbs: readonly string[]
    }[]
    return rules.filter(({ resources }) => resources.includes('streampipelines')).flatMap((rule) => rule.verbs)
  }
  assert.deepEqual(verbs('view'), ['get', 'list', 'watch'])
  assert.deepEqual(verbs('edit'), [...verbs('view'), 'create', 'update', 'patch', 'delete'])
  assert.deepEqual(verbs('admin'), [...verbs('edit'), 'deletecollection'])
})

test('rights that only a flag needs are given only with it', needsHelm, async (t) => {
  const text = JSON.stringify(ofKind(await render(t), 'ClusterRole'))
  assert.doesNotMatch(text, /podmonitors/)
})

test('the CRD is the one of the project, kept when the chart goes, and can be left out', needsHelm, async (t) => {
  const [rendered] = ofKind(await render(t), 'CustomResourceDefinition')
  assert.deepEqual(rendered?.['spec'], (crd() as { spec: unknown }).spec)
  assert.equal(rendered?.metadata.annotations?.['helm.sh/resource-policy'], 'keep')
  assert.deepEqual(ofKind(await render(t, { 'crds.enabled': false }), 'CustomResourceDefinition'), [])
  const [loose] = ofKind(await render(t, { 'crds.keep': false }), 'CustomResourceDefinition')
  assert.equal(loose?.metadata.annotations, undefined)
})

test('the notes say what an uninstall removes', needsHelm, async (t) => {
  const removes = async (...crds: string[]) => {
    const { stdout } = await helm(t, 'install', 'test', chartFolder, '-n', 'ops', '--dry-run=client', ...crds)
    return stdout.includes('crds.keep=false removes both')
  }
  assert.equal(await removes(), false)
  assert.equal(await removes('--set', 'crds.keep=false'), true)
  assert.equal(await removes('--set', 'crds.keep=false,crds.enabled=false'), false, 'the CRD is not of this release')
})

test('wrong values are refused, and the message names the value', needsHelm, async (t) => {
  const wrong: readonly (readonly [values: Readonly<Record<string, unknown>>, message: RegExp])[] = [
    [{ replica: 3 }, /additional properties 'replica' not allowed/],
    [{ replicas: '2' }, /replicas.*want integer/s],
    [{ replicas: 0 }, /replicas.*minimum/s],
    [{ replicas: 9 }, /replicas.*maximum/s],
    [{ namespaces: 'farm' }, /namespaces.*want array/s],
    [{ namespaces: ['Farm'] }, /namespaces.*pattern/s],
    [{ namespaces: ['farm', 'farm'] }, /namespaces.*(unique|equal)/s],
    [{ logLevel: 'verbose' }, /logLevel.*'debug'/s],
    [{ imagePullPolicy: 'Sometimes' }, /imagePullPolicy.*'Always'/s],
    [{ 'image.name': 'x' }, /image.*additional properties 'name' not allowed/s],
    [{ 'image.repository': '' }, /image\/repository/],
    [{ 'image.tag': 'a b' }, /image\/tag.*pattern/s],
    [{ 'consumerImage.digest': 'sha256:1' }, /consumerImage\/digest.*pattern/s],
    [{ 'tenancy.image': ['a'] }, /tenancy.*additional properties 'image' not allowed/s],
    [{ 'tenancy.images': 'a' }, /tenancy\/images.*want.*array/s],
    [{ 'tenancy.images': ['a,b'] }, /tenancy\/images\/0.*pattern/s],
    [{ 'tenancy.images': ['ghcr.io/acme/'] }, /tenancy\/images\/0.*pattern/s],
    [{ 'tenancy.volumes': ['host-path'] }, /tenancy\/volumes\/0.*pattern/s],
    [{ 'tenancy.redisHosts': ['*'] }, /tenancy\/redisHosts\/0.*pattern/s],
    [{ 'tenancy.redisNetworks': ['10.0.0.0'] }, /tenancy\/redisNetworks\/0.*pattern/s],
    [{ 'tenancy.localRedis': 'no' }, /tenancy\/localRedis.*'allow'/s],
    [{ 'tenancy.secretLabel': "a'b" }, /tenancy\/secretLabel.*pattern/s],
    [{ 'networkPolicy.redisNetworks': ['all'] }, /networkPolicy\/redisNetworks\/0.*pattern/s],
    [{ 'crds.enabled': 'yes' }, /crds\/enabled.*want boolean/s],
    [{ 'crd.enabled': true }, /additional properties 'crd' not allowed/],
    [{ 'metrics.serviceMonitor.interval': 'often' }, /serviceMonitor\/interval.*pattern/s],
    [{ 'alerts.runbooks': 'on the wiki: books' }, /alerts\/runbooks.*pattern/s],
    [{ 'alerts.thresholds.refusals': -1 }, /alerts\/thresholds\/refusals.*minimum/s],
    [{ 'alerts.windows.soon': 'now' }, /alerts\/windows\/soon.*pattern/s],
    [{ 'alerts.windows.sooner': '1m' }, /alerts\/windows.*additional properties 'sooner'/s],
    [{ 'podLabels.team': 3 }, /podLabels\/team.*want string/s],
    [{ imagePullSecrets: ['pull'] }, /imagePullSecrets\/0.*want object/s],
    [{ env: [{ value: 'x' }] }, /env\/0.*missing property 'name'/s],
    [{ 'consumerDefaults.image': 'x' }, /consumerDefaults.*additional properties 'image' not allowed/s],
    [{ 'consumerDefaults.labels.team': 3 }, /consumerDefaults\/labels\/team.*want string/s],
    [{ 'livenessProbe.httpGet': {} }, /livenessProbe.*additional properties 'httpGet' not allowed/s],
    [{ extraArgs: ['workers'] }, /extraArgs\/0.*pattern/s],
    [{ 'metrics.service.ipFamilies': ['IPv5'] }, /ipFamilies\/0.*'IPv4'/s],
    [{ 'podDisruptionBudget.minAvailable': 'half' }, /minAvailable.*pattern/s],
    [{ 'networkPolicy.redisPorts': [0] }, /redisPorts\/0.*minimum/s],
    [{ 'metrics.enabled': false, 'metrics.serviceMonitor.enabled': true }, /serviceMonitor.enabled needs metrics.enabled/],
  ]
  for (const [values, message] of wrong) {
    const { code, stderr } = await template(t, values)
    assert.notEqual(code, 0, `accepted: ${JSON.stringify(values)}`)
    assert.match(stderr, message, JSON.stringify(values))
  }
})

test('the limits of tenancy are flags, each only where it is set, and a policy once one is', needsHelm, async (t) => {
  const args = async (values: Readonly<Record<string, unknown>>) => {
    const [deployment] = ofKind(await render(t, values), 'Deployment')
    const spec = deployment?.['spec'] as { template: { spec: { containers: { args: string[] }[] } } }
    return spec.template.spec.containers[0]?.args.slice(6) ?? []
  }
  assert.deepEqual(await args({}), ['--local-redis=refuse'])
  const set = {
    'tenancy.images': ['ghcr.io/acme', 'registry.example.com:5000/team'],
    'tenancy.volumes': [],
    'tenancy.redisHosts': ['*.{namespace}.svc', '10.1.2.3', 'fd12::1'],
    'tenancy.redisNetworks': ['10.0.0.0/8', 'fd12::/16'],
    'tenancy.restrictedPods': true,
    'tenancy.localRedis': 'allow',
    'tenancy.secretLabel': 'team.example/for=pipelines',
    'tenancy.manyTeams': true,
    'networkPolicy.consumers': true,
    'networkPolicy.redisNetworks': ['10.0.0.0/8'],
  }
  assert.deepEqual(await args(set), [
    '--local-redis=allow',
    '--allow-images=ghcr.io/acme,registry.example.com:5000/team',
    '--allow-volumes=',
    '--allow-redis-hosts=*.{namespace}.svc,10.1.2.3,fd12::1',
    '--allow-redis-networks=10.0.0.0/8,fd12::/16',
    '--restricted-pods',
    '--secret-label=team.example/for=pipelines',
    '--many-teams',
    '--network-policy',
    '--network-policy-redis=10.0.0.0/8',
  ])
  const policies = async (values: Readonly<Record<string, unknown>>) =>
    ofKind(await render(t, values), 'ValidatingAdmissionPolicy').length
  assert.deepEqual(
    [await policies({}), await policies({ 'tenancy.localRedis': 'refuse', 'tenancy.manyTeams': true }), await policies(set)],
    [0, 0, 1],
  )
  assert.equal(await policies({ ...set, 'tenancy.admission': false }), 0)
  const [binding] = ofKind(await render(t, { ...set, namespaces: ['farm'] }), 'ValidatingAdmissionPolicyBinding')
  assert.match(JSON.stringify(binding), /"kubernetes.io\/metadata.name","operator":"In","values":\["farm"\]/)
})

test('who may scrape the operator can be named', needsHelm, async (t) => {
  const from = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }]
  const own = { 'app.kubernetes.io/name': 'streampipeline-operator', 'app.kubernetes.io/instance': 'test' }
  const tests = { podSelector: { matchLabels: { ...own, 'app.kubernetes.io/component': 'test' } } }
  const [policy] = ofKind(await render(t, { 'networkPolicy.operator': true, 'networkPolicy.metricsFrom': from }), 'NetworkPolicy')
  assert.deepEqual((policy?.['spec'] as { ingress: unknown } | undefined)?.ingress, [
    { ports: [{ port: 'metrics', protocol: 'TCP' }], from: [...from, tests] },
    { ports: [{ port: 'health', protocol: 'TCP' }] },
  ])
})

const skip = needsHelm.skip || needsApiServer.skip

test('a real API server takes all of it, in a namespace that enforces restricted pods', { skip }, async (t) => {
  const server = await startApiServer(t, { ...ordinary, controllers: ['serviceaccount-controller'] })
  const namespaces = ['ops', 'farm'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted', 'pod-security.kubernetes.io/warn': 'restricted' },
    },
  }))
  const apply = async (items: readonly unknown[], ...args: string[]) =>
    await server.kubectl(
      ['apply', '--server-side', ...args, '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    )
  assert.equal((await apply([...namespaces, ...monitoringKinds])).code, 0)
  const wait = ['wait', '--for=condition=Established', 'crd', '--all', '--timeout=55s']
  assert.equal((await server.kubectl(wait)).code, 0)
  // A pod is refused until a controller has made its namespace's own ServiceAccount.
  await eventually(async () => assert.equal((await server.kubectl(['get', 'serviceaccount', 'default', '-n', 'ops'])).code, 0), {
    timeoutMs: 60_000,
  })
  for (const values of [everything, { ...everything, namespaces: ['farm'], replicas: 1 }]) {
    const { code, stderr } = await apply(await render(t, values), '--dry-run=server', '--validate=strict')
    assert.equal(code, 0, stderr)
    assert.doesNotMatch(stderr, /warning/i, 'a warning would be about pod security')
  }
})

test('each alert has a runbook page that says what it means, how to look and what to do', async () => {
  for (const rule of alertGroups.flatMap((group) => group.rules)) {
    const page = await readFile(join(projectRoot, 'docs', 'runbooks', `${runbookName(rule)}.md`), 'utf8')
    for (const heading of [`# ${rule.alert}`, '## Means', '## Look', '## Do'])
      assert.ok(page.includes(`${heading}\n`), `${rule.alert}: ${heading}`)
  }
})

/** Names of series in a query. */
const seriesOf = (query: string): string[] =>
  [
    ...query.matchAll(
      /\b((?:redis_stream|streampipeline|stream_consumer|controller_runtime|rest_client|workqueue|leader_election|upstream|job)_[a-z_]+)/g,
    ),
  ].map(([, name = '']) => name.replace(/_(bucket|count|sum)$/, ''))

test('alerts and dashboard ask only for series that are exported', async () => {
  const sources = await Promise.all(
    [
      'operator/metrics/machinery.ts',
      'operator/metrics/families.ts',
      'process/memorylimit.ts',
      'consumer/metricfamilies.ts',
      'client/metrics.ts',
    ].map(async (file) => await readFile(join(projectRoot, file), 'utf8')),
  )
  const exported = new Set(seriesOf(sources.join('\n')))
  const queries = [
    ...alertGroups.flatMap((group) => group.rules.map(({ expr }) => expr)),
    ...dashboard.panels.flatMap((panel) => panel.targets.map(({ expr }) => expr)),
  ]
  assert.ok(queries.length > 15)
  const unknown = queries.flatMap(seriesOf).filter((name) => !exported.has(name))
  assert.deepEqual(unknown, [])
})

test('the dashboard of the ConfigMap is the dashboard, and the rule holds the values it was given', needsHelm, async (t) => {
  const manifests = await render(t, {
    ...everything,
    'alerts.thresholds.oldestAgeFactor': 77.5,
    'alerts.windows.medium': '7m',
    'alerts.runbooks': 'https://example.com/books/',
  })
  const [map] = ofKind(manifests, 'ConfigMap')
  assert.deepEqual(JSON.parse((map?.['data'] as Record<string, string> | undefined)?.['streampipelines.json'] ?? ''), dashboard)
  const [rule] = ofKind(manifests, 'PrometheusRule')
  const text = JSON.stringify(rule)
  assert.ok(text.includes('> 77.5"'))
  assert.ok(text.includes('"for":"7m"'))
  assert.ok(text.includes('https://example.com/books/StreamPipelineBacklogOld.md'))
  assert.doesNotMatch(text, /%[a-zA-Z]+%|RUNBOOKS/)
})

test('values.yaml says the same as the schema’s defaults', async () => {
  const values = parse(await readFile(join(chartFolder, 'values.yaml'), 'utf8')) as Record<string, unknown>
  const schema = JSON.parse(await readFile(join(chartFolder, 'values.schema.json'), 'utf8')) as Schema
  assert.deepEqual(values, defaultsOf(schema))
})

interface Schema {
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
}

function defaultsOf(schema: Schema): Record<string, unknown> {
  const inner = (each: Schema) => ('default' in each || each.properties === undefined ? each.default : defaultsOf(each))
  return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([key, each]) => [key, inner(each)]))
}

test('each release elects its leader by a Lease of its own', needsHelm, async (t) => {
  const [deployment] = ofKind(await render(t, {}), 'Deployment')
  const spec = deployment?.['spec'] as { template: { spec: { containers: { env: { name: string; value?: string }[] }[] } } }
  const lease = spec.template.spec.containers[0]?.env.find(({ name }) => name === 'LEASE_NAME')?.value
  assert.equal(lease, deployment?.metadata.name)
})
