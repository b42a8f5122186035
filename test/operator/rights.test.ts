/** The table of rights is exact: each right in it is used, and no other. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { group, plural } from '../../api/crd.ts'
import * as kinds from '../../operator/plan/kinds.ts'
import { consumerName, nameLabel } from '../../operator/plan/names.ts'
import { deletionCostAnnotation } from '../../operator/plan/victims.ts'
import { policyRule, type RbacRule, rbacRules } from '../../operator/rights.ts'
import { keySpace } from '../../redis/keys.ts'
import { formatIdentity } from '../../redis/stream/identity.ts'
import { needsApiServer } from '../support/apiserver.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { at, conditionOf, type Loose, minimalPipeline, readingPipelines, startCluster, startOperator } from './cluster.ts'

const slow = { timeoutMs: 60_000 }
const rbac = 'rbac.authorization.k8s.io'
const [home, farm] = ['streampipeline-system', 'farm']

const podMonitorCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'podmonitors.monitoring.coreos.com' },
  spec: {
    group: 'monitoring.coreos.com',
    scope: 'Namespaced',
    names: { kind: 'PodMonitor', plural: 'podmonitors', singular: 'podmonitor', listKind: 'PodMonitorList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}

function granted(name: string, namespace: string, where: RbacRule['where']): unknown[] {
  const rules = rbacRules.filter((right) => right.where === where).map(policyRule)
  return [
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: { name, namespace }, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: { name, namespace },
      subjects: [{ kind: 'User', name: 'scoped', apiGroup: rbac }],
      roleRef: { kind: 'Role', name, apiGroup: rbac },
    },
  ]
}

test('every verb granted is used, and every verb used is granted', needsApiServer, async (t) => {
  // With the admission plugin that OpenShift has, which asks for streampipelines/finalizers.
  const args = ['--enable-admission-plugins=OwnerReferencesPermissionEnforcement']
  const [cluster, redis] = await Promise.all([startCluster(t, { args }), startRedis(t)])
  const namespaces = [home, farm].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
  const items = [...namespaces, podMonitorCrd, ...granted('own', home, 'Own'), ...granted('pipelines', farm, 'Pipelines')]
  await cluster.apply({ apiVersion: 'v1', kind: 'List', items })
  await eventually(
    async () => assert.equal((await cluster.server.kubectl(['get', podMonitorCrd.metadata.name])).code, 0, 'it is served'),
    slow,
  )
  await cluster.permits('scoped', { verb: 'get', group: 'coordination.k8s.io', resource: 'leases', namespace: home })
  await cluster.permits('scoped', { ...readingPipelines, namespace: farm })
  const { kubeconfig } = await cluster.server.user('scoped')
  const options = { kubeconfig, namespaces: farm, podNamespace: home, observeEveryMs: 200 }
  const first = await startOperator(t, cluster, { ...options, networkPolicy: true, podMonitor: true })

  const pipeline = async (type: string) => conditionOf(await cluster.get<Loose>(kinds.pipelineType, farm, 'ndvi'), type)
  const reaches = (type: string, reason: string) =>
    eventually(async () => assert.equal((await pipeline(type))?.reason, reason), slow)
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'auth', namespace: farm },
    stringData: { user: 'default' },
  }
  const spec = { redis: { url: redis.url, usernameFrom: { secretKeyRef: { name: 'auth', key: 'user' } } } }
  // A missing Secret twice: the second time its Event is counted, not written anew.
  await cluster.apply(minimalPipeline('ndvi', farm, spec))
  await reaches('Reconciled', 'ReferenceMissing')
  await cluster.apply(secret)
  await reaches('Reconciled', 'ObjectsApplied')
  await cluster.remove(kinds.secretType, farm, 'auth')
  await reaches('Reconciled', 'ReferenceMissing')
  await cluster.apply(secret)
  await reaches('Reconciled', 'ObjectsApplied')
  assert.ok(await cluster.get(kinds.podMonitorType, farm, consumerName('ndvi')))
  // A consumer whose pod is gone: the API server is asked whether that is so.
  const owner = (await cluster.get(kinds.pipelineType, farm, 'ndvi'))?.metadata.uid ?? ''
  const { consumers } = keySpace('ndvi:jobs', 'ndvi')
  const client = redis.client()
  await client.hset(consumers, 'ghost', formatIdentity({ owner, life: 'a-pod-that-is-gone' }))
  await eventually(async () => assert.equal(await client.hlen(consumers), 0), slow)
  // Fewer pods than there are: one of them is marked as the first to go.
  const pod = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: farm, labels: { [nameLabel]: 'ndvi' } },
    spec: { containers: [{ name: 'consumer', image: 'consumer:test' }] },
  })
  await cluster.patch(kinds.pipelineType, farm, 'ndvi', { spec: { replicas: 2, scaling: { policy: 'Manual' } } })
  await eventually(async () => {
    assert.equal(at(await cluster.get(kinds.deploymentType, farm, consumerName('ndvi')), 'spec.replicas'), 2)
  }, slow)
  await cluster.apply({ apiVersion: 'v1', kind: 'List', items: [pod('ndvi-a'), pod('ndvi-b')] })
  // A pod without a cause in its status: its Events may have one.
  const conditions = [{ type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-11-22T00:00:00Z' }]
  await cluster.patch(kinds.podType, farm, 'ndvi-a', { status: { phase: 'Pending', conditions } }, 'status')
  await cluster.patch(kinds.pipelineType, farm, 'ndvi', { spec: { replicas: 1 } })
  await eventually(async () => {
    const costs = (await cluster.list(kinds.podType, farm)).map((each) => each.metadata.annotations?.[deletionCostAnnotation])
    assert.deepEqual(
      costs.filter((cost) => cost !== undefined),
      ['-1'],
    )
  }, slow)
  // Another owner has the names of its objects already: each is read, so as to name that owner.
  const metadata = { name: consumerName('taken'), namespace: farm }
  const selector = { matchLabels: { app: 'another' } }
  const taken = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { minAvailable: 1, selector } },
    { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec: { podSelector: selector } },
    { apiVersion: 'monitoring.coreos.com/v1', kind: 'PodMonitor', metadata, spec: { selector, podMetricsEndpoints: [] } },
  ]
  await cluster.apply({ apiVersion: 'v1', kind: 'List', items: taken })
  await cluster.apply(minimalPipeline('taken', farm, spec))
  await eventually(async () => {
    const condition = conditionOf(await cluster.get<Loose>(kinds.pipelineType, farm, 'taken'), 'Reconciled')
    assert.equal(condition?.reason, 'NameTaken', String(condition?.message))
  }, slow)
  await cluster.remove(kinds.pipelineType, farm, 'taken')
  // An identity of the user's own takes the place of ours.
  await cluster.patch(kinds.pipelineType, farm, 'ndvi', { spec: { consumer: { serviceAccountName: 'default' } } })
  await eventually(
    async () => assert.equal(await cluster.get(kinds.serviceAccountType, farm, consumerName('ndvi')), undefined),
    slow,
  )
  assert.equal(await first.stop(), 0)
  // Without the flag the policy goes.
  const second = await startOperator(t, cluster, options)
  await eventually(
    async () => assert.equal(await cluster.get(kinds.networkPolicyType, farm, consumerName('ndvi')), undefined),
    slow,
  )
  assert.equal(await second.stop(), 0)

  const table = rbacRules.flatMap(({ where, resources, verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => `${where} ${resource} ${verb}`)),
  )
  // The API server logs a watch when it has noticed that its client is gone.
  await eventually(async () => assert.deepEqual([...(await used())].toSorted(), [...new Set(table)].toSorted()), slow)

  async function used(): Promise<ReadonlySet<string>> {
    const found = new Set<string>()
    for (const { user, verb, resource, subresource, namespace, code } of await cluster.server.requests()) {
      if (user !== 'scoped' || resource === '') continue
      const where = namespace === home ? 'Own' : 'Pipelines'
      const name = `${where} ${subresource === '' ? resource : `${resource}/${subresource}`}`
      assert.notEqual(code, 403, `${verb} ${name}`)
      found.add(`${name} ${verb}`)
      // An apply that makes an object needs both.
      if (verb === 'patch' && code === 201) found.add(`${name} create`)
    }
    // Asked of the authorizer by admission, so it is in no request of ours.
    return found.add('Pipelines streampipelines/finalizers update')
  }

  const less = rbacRules.filter(
    ({ where, resources }) => where === 'Pipelines' && !resources.includes('streampipelines/finalizers'),
  )
  await cluster.apply({
    apiVersion: `${rbac}/v1`,
    kind: 'Role',
    metadata: { name: 'pipelines', namespace: farm },
    rules: less.map(policyRule),
  })
  await cluster.permits('scoped', { verb: 'update', group, resource: plural, subresource: 'finalizers', namespace: farm }, false)
  await startOperator(t, cluster, options)
  await cluster.apply(minimalPipeline('other', farm, { redis: { url: redis.url } }))
  await eventually(async () => {
    const reported = conditionOf(await cluster.get<Loose>(kinds.pipelineType, farm, 'other'), 'Reconciled')
    assert.equal(reported?.reason, 'Forbidden', 'without update of finalizers it is refused here')
  }, slow)
})

test('no right lets the operator list Secrets, and none is an asterisk', () => {
  for (const { resources, verbs } of rbacRules) {
    if (resources.includes('secrets')) assert.ok(!verbs.some((verb) => ['list', 'watch', '*'].includes(verb)))
    assert.ok(![...resources, ...verbs].includes('*'))
  }
})
