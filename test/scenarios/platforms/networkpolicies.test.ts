/**
 * Namespaces that deny by default, beside the policies of the chart and of the operator: what must be reached is reached, and nothing else. The
 * rules are those of NetworkPolicy (networkrules.ts).
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubernetesObject } from '../../../operator/kubernetes/objects.ts'
import { consumerPort } from '../../../operator/plan/deployment.ts'
import type { OperatorSettings } from '../../../operator/plan/observed.ts'
import { plan, targetOf } from '../../../operator/plan/plan.ts'
import { nowMs, observed, pipelineObject } from '../../operator/builder.ts'
import { at } from '../../operator/cluster.ts'
import { everything, type Manifest, needsHelm, render } from '../chart/chart.ts'
import { connection, type Network, type Outside, type Pod, type Policy, type Port } from './networkrules.ts'

const tcp = (port: number): Port => ({ port, protocol: 'TCP' })
const udp = (port: number): Port => ({ port, protocol: 'UDP' })

const denyByDefault = (namespace: string): Policy => ({
  metadata: { name: 'deny', namespace },
  spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
})

const openTo = (namespace: string, ...ports: readonly Port[]): Policy => ({
  metadata: { name: 'open', namespace },
  spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ ports }] },
})

const dns: Pod = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } }
const prometheus: Pod = { namespace: 'monitoring', labels: { app: 'prometheus' } }
const stranger: Pod = { namespace: 'other', labels: { app: 'any' } }
const redis: Pod = { namespace: 'data', labels: { app: 'redis' } }
/** On a node, behind the Service `kubernetes`. */
const apiServer: Outside = { ip: '172.20.0.2' }
const internet: Outside = { ip: '203.0.113.7' }
const managedRedis: Outside = { ip: '10.20.0.9' }

/** Others' own policies admit what is meant for them. */
const others: readonly Policy[] = [denyByDefault('ops'), denyByDefault('farm'), denyByDefault('data'), openTo('data', tcp(6379))]

test('the operator and its chart where all is denied', needsHelm, async (suite) => {
  const metricsFrom = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }]
  const operatorEgress = [
    { ports: [udp(53), tcp(53)] },
    { to: [{ ipBlock: { cidr: '172.20.0.2/32' } }], ports: [tcp(6443)] },
    { ports: [tcp(6379)] },
  ]
  const rendered = async (values: object = {}) =>
    await render(suite, { ...everything, 'networkPolicy.metricsFrom': metricsFrom, ...values })
  const podOf = (manifests: readonly Manifest[], kind: string): Pod => {
    const manifest = manifests.find((each) => each.kind === kind)
    const [labels, containers] =
      kind === 'Pod'
        ? [manifest?.metadata, at(manifest, 'spec.containers.0.ports')]
        : [at(manifest, 'spec.template.metadata'), at(manifest, 'spec.template.spec.containers.0.ports')]
    const ports = (containers ?? []) as readonly { name: string; containerPort: number }[]
    return {
      namespace: 'ops',
      labels: (labels as { labels: Record<string, string> }).labels,
      ports: Object.fromEntries(ports.map(({ name, containerPort }) => [name, containerPort])),
    }
  }
  const networkOf = (manifests: readonly Manifest[]): Network => ({
    policies: [...others, ...manifests.filter(({ kind }) => kind === 'NetworkPolicy')] as readonly Policy[],
  })
  const plain = await rendered()
  const operator = podOf(plain, 'Deployment')
  const tests = podOf(plain, 'Pod')

  await suite.test('admits the scrapes of those who may, and no one else’s', () => {
    const network = networkOf(plain)
    assert.equal(connection(network, prometheus, operator, tcp(8080)), 'Allowed')
    assert.equal(connection(network, stranger, operator, tcp(8080)), 'DeniedByIngress')
    assert.equal(connection(network, stranger, operator, tcp(9229)), 'DeniedByIngress')
    assert.equal(connection(network, stranger, tests, tcp(8080)), 'DeniedByIngress')
  })

  await suite.test('admits all scrapes where nobody is named', async () => {
    const network = networkOf(await rendered({ 'networkPolicy.metricsFrom': [] }))
    assert.equal(connection(network, stranger, operator, tcp(8080)), 'Allowed')
  })

  await suite.test('reaches the API server, DNS and Redis by the rules that say so, and nothing else', async () => {
    const network = networkOf(await rendered({ 'networkPolicy.operatorEgress': operatorEgress }))
    const reached = (to: Pod | Outside, port: Port) => connection(network, operator, to, port)
    assert.equal(reached(apiServer, tcp(6443)), 'Allowed')
    assert.equal(reached(dns, udp(53)), 'Allowed')
    assert.equal(reached(redis, tcp(6379)), 'Allowed')
    assert.equal(reached(internet, tcp(443)), 'DeniedByEgress')
    assert.equal(reached(apiServer, tcp(10250)), 'DeniedByEgress')
  })

  await suite.test('reaches everything with one empty rule, and nothing without a rule', async () => {
    const open = networkOf(await rendered({ 'networkPolicy.operatorEgress': [{}] }))
    assert.equal(connection(open, operator, apiServer, tcp(6443)), 'Allowed')
    assert.equal(connection(open, operator, managedRedis, tcp(16_379)), 'Allowed')
    assert.equal(connection(networkOf(plain), operator, apiServer, tcp(6443)), 'DeniedByEgress')
    const policies = networkOf(plain).policies.filter(({ metadata }) => metadata.name !== 'deny')
    assert.equal(connection({ policies }, operator, apiServer, tcp(6443)), 'Allowed', 'no other policy denies it')
  })

  await suite.test('the pod of helm test reaches DNS and the metrics behind their Service, and nothing else', () => {
    const network = networkOf(plain)
    const service = plain.find(({ kind }) => kind === 'Service')
    const selected = at(service, 'spec.selector') as Record<string, string>
    const isBehind = ({ labels }: Pod) => Object.entries(selected).every(([key, value]) => labels[key] === value)
    assert.deepEqual([isBehind(operator), isBehind(tests)], [true, false])
    const port = operator.ports?.[String(at(service, 'spec.ports.0.targetPort'))] ?? 0
    assert.equal(connection(network, tests, operator, tcp(port)), 'Allowed')
    assert.equal(connection(network, tests, dns, udp(53)), 'Allowed')
    assert.equal(connection(network, tests, { ...dns }, tcp(5353)), 'Allowed')
    assert.equal(connection(network, tests, apiServer, tcp(6443)), 'DeniedByEgress')
    assert.equal(connection(network, tests, operator, tcp(8081)), 'DeniedByEgress')
  })
})

type Settings = Pick<OperatorSettings, 'networkPolicyRedis' | 'networkPolicyPorts'>

function consumersOf(
  spec: object,
  settings: Settings = {},
  name = 'ndvi',
): { readonly network: Network; readonly consumer: Pod } {
  const { metadata, ...object } = pipelineObject({ redis: spec })
  const plain = observed({ ...object, metadata: { ...metadata, name } })
  const all = { ...plain, settings: { ...plain.settings, networkPolicy: true, ...settings } }
  const { apply } = plan(all, targetOf(all, nowMs))
  const of = (kind: string): KubernetesObject | undefined => apply.find(({ object }) => object.kind === kind)?.object
  const policy = of('NetworkPolicy')
  assert.ok(policy !== undefined)
  const labels = at(of('Deployment'), 'spec.template.metadata.labels') as Record<string, string>
  return { network: { policies: [...others, policy] }, consumer: { namespace: 'farm', labels } }
}

test('consumers are scraped and probed at one port, and let no other connection in', () => {
  const { network, consumer } = consumersOf({ url: 'redis://redis.data.svc' })
  assert.equal(connection(network, prometheus, consumer, tcp(consumerPort)), 'Allowed')
  assert.equal(connection(network, prometheus, consumer, tcp(9229)), 'DeniedByIngress')
})

test('consumers resolve names, also where the pods of DNS listen at 5353', () => {
  const { network, consumer } = consumersOf({ url: 'redis://redis.data.svc' })
  for (const port of [udp(53), tcp(53), udp(5353), tcp(5353)]) assert.equal(connection(network, consumer, dns, port), 'Allowed')
})

test('consumers reach Redis in a namespace, in a network, and nowhere else', () => {
  const own = consumersOf({ url: 'redis://redis.data.svc' }, { networkPolicyRedis: [] })
  const reached = ({ network, consumer }: typeof own, to: Pod | Outside, port: number) =>
    connection(network, consumer, to, tcp(port))
  assert.equal(reached(own, redis, 6379), 'Allowed')
  assert.equal(reached(own, { ...redis, namespace: 'other' }, 6379), 'DeniedByEgress')
  assert.equal(reached(own, managedRedis, 6379), 'DeniedByEgress')
  const managed = consumersOf({ url: 'rediss://redis.example.com:6380' }, { networkPolicyRedis: ['10.20.0.0/16'] })
  assert.equal(reached(managed, managedRedis, 6380), 'Allowed')
  assert.equal(reached(managed, { ip: '10.21.0.9' }, 6380), 'DeniedByEgress')
  assert.equal(reached(managed, managedRedis, 22), 'DeniedByEgress')
  assert.equal(reached(managed, redis, 6380), 'DeniedByEgress')
  const anywhere = consumersOf({ url: 'redis://redis.data.svc' })
  assert.equal(reached(anywhere, internet, 443), 'DeniedByEgress')
})

test('a Service whose port is not its pods’ needs the pods’ port', () => {
  const url = 'redis://redis.data.svc:6380'
  const without = consumersOf({ url })
  assert.equal(connection(without.network, without.consumer, redis, tcp(6379)), 'DeniedByEgress')
  for (const more of [{}, { networkPolicyRedis: [] }]) {
    const { network, consumer } = consumersOf({ url }, { networkPolicyPorts: [6379], ...more })
    assert.equal(connection(network, consumer, redis, tcp(6379)), 'Allowed')
  }
})

test('servers that announce their ports are reached in the networks named, and by no rule of ours without them', () => {
  const sentinel = { sentinel: { master: 'main', nodes: ['s.data.svc:26379'] } }
  const silent = consumersOf(sentinel)
  assert.equal(connection(silent.network, silent.consumer, redis, tcp(6379)), 'DeniedByEgress')
  const open = {
    policies: silent.network.policies.filter(({ metadata }) => metadata.namespace !== 'farm' || metadata.name !== 'deny'),
  }
  assert.equal(connection(open, silent.consumer, redis, tcp(6379)), 'Allowed', 'no other policy denies it')
  const { network, consumer } = consumersOf(sentinel, { networkPolicyRedis: ['10.20.0.0/16'] })
  for (const port of [26_379, 6379, 6380]) assert.equal(connection(network, consumer, { ip: '10.20.1.1' }, tcp(port)), 'Allowed')
  assert.equal(connection(network, consumer, internet, tcp(443)), 'DeniedByEgress')
})

test('a pipeline’s policy selects its own consumers alone', () => {
  const { network, consumer } = consumersOf({ url: 'redis://redis.data.svc' })
  const policies = network.policies.filter(({ metadata }) => metadata.name !== 'deny')
  const another = consumersOf({ url: 'redis://redis.data.svc' }, {}, 'another').consumer
  const pods = [{ namespace: 'farm', labels: { app: 'database' } }, another, { ...consumer, namespace: 'other' }]
  for (const pod of pods) assert.equal(connection({ policies }, stranger, pod, tcp(5432)), 'Allowed', JSON.stringify(pod))
  assert.equal(connection({ policies }, stranger, consumer, tcp(5432)), 'DeniedByIngress')
})

test('the rules themselves: peers, exceptions, ranges of ports, directions', () => {
  const web: Pod = { namespace: 'a', labels: { app: 'web' }, ports: { http: 8080 } }
  const policy = (spec: object): Network => ({
    policies: [{ metadata: { name: 'p', namespace: 'a' }, spec: { podSelector: { matchLabels: { app: 'web' } }, ...spec } }],
    namespaces: { b: { team: 'b' } },
  })
  const b: Pod = { namespace: 'b', labels: { role: 'client' } }
  const both = { namespaceSelector: { matchLabels: { team: 'b' } }, podSelector: { matchLabels: { role: 'client' } } }
  const block = { ipBlock: { cidr: '10.0.0.0/8', except: ['10.9.0.0/16'] } }
  const odd = {
    podSelector: { matchExpressions: [{ key: 'role', operator: 'NotIn', values: ['client'] }] },
    namespaceSelector: {},
  }
  const cases: readonly (readonly [Network, Pod | Outside, Pod | Outside, Port, string])[] = [
    [{ policies: [] }, b, web, tcp(1), 'Allowed'],
    [policy({}), b, web, tcp(1), 'DeniedByIngress'],
    [policy({}), web, b, tcp(1), 'Allowed'],
    [policy({ egress: [] }), web, b, tcp(1), 'DeniedByEgress'],
    [policy({ ingress: [{}] }), b, web, tcp(1), 'Allowed'],
    [policy({ ingress: [{ from: [both] }] }), b, web, tcp(1), 'Allowed'],
    [policy({ ingress: [{ from: [both] }] }), { ...b, labels: {} }, web, tcp(1), 'DeniedByIngress'],
    [policy({ ingress: [{ from: [both] }] }), { ...b, namespace: 'c' }, web, tcp(1), 'DeniedByIngress'],
    [policy({ ingress: [{ from: [{ podSelector: {} }] }] }), b, web, tcp(1), 'DeniedByIngress'],
    [policy({ ingress: [{ from: [{ podSelector: {} }] }] }), { ...b, namespace: 'a' }, web, tcp(1), 'Allowed'],
    [policy({ ingress: [{ from: [odd] }] }), b, web, tcp(1), 'DeniedByIngress'],
    [policy({ ingress: [{ from: [odd] }] }), { ...b, labels: {} }, web, tcp(1), 'Allowed'],
    [policy({ ingress: [{ from: [block] }] }), { ip: '10.8.0.1' }, web, tcp(1), 'Allowed'],
    [policy({ ingress: [{ from: [block] }] }), { ip: '10.9.0.1' }, web, tcp(1), 'DeniedByIngress'],
    [policy({ ingress: [{ from: [block] }] }), b, web, tcp(1), 'DeniedByIngress'],
    [policy({ ingress: [{ ports: [{ port: 'http' }] }] }), b, web, tcp(8080), 'Allowed'],
    [policy({ ingress: [{ ports: [{ port: 'http' }] }] }), b, web, udp(8080), 'DeniedByIngress'],
    [policy({ ingress: [{ ports: [{ port: 'https' }] }] }), b, web, tcp(8080), 'DeniedByIngress'],
    [policy({ ingress: [{ ports: [{ port: 80, endPort: 90 }] }] }), b, web, tcp(90), 'Allowed'],
    [policy({ ingress: [{ ports: [{ port: 80, endPort: 90 }] }] }), b, web, tcp(91), 'DeniedByIngress'],
  ]
  for (const [n, [network, from, to, port, verdict]] of cases.entries())
    assert.equal(connection(network, from, to, port), verdict, `case ${n}`)
})
