/** An operator confined to some namespaces: Roles there are all it has. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName, signingSecretName } from '../../../operator/plan/names.ts'
import {
  at,
  conditionOf,
  type Loose,
  minimalPipeline,
  readingPipelines,
  rules,
  startCluster,
  startOperator,
} from '../../operator/cluster.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 60_000 }

test(
  'an operator confined to namespaces works there with Roles alone, and leaves the rest of the cluster be',
  needsApiServer,
  async (t) => {
    const [cluster, redis] = await Promise.all([startCluster(t), startRedis(t)])
    const rbac = 'rbac.authorization.k8s.io'
    const inNamespace = (namespace: string) => [
      { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: { name: 'scoped', namespace }, rules },
      {
        apiVersion: `${rbac}/v1`,
        kind: 'RoleBinding',
        metadata: { name: 'scoped', namespace },
        subjects: [{ kind: 'User', name: 'scoped', apiGroup: rbac }],
        roleRef: { kind: 'Role', name: 'scoped', apiGroup: rbac },
      },
    ]
    const namespaces = ['farm', 'mill', 'other'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
    const items = [...namespaces, ...inNamespace('farm'), ...inNamespace('mill')]
    await cluster.apply({ apiVersion: 'v1', kind: 'List', items })
    for (const namespace of ['farm', 'mill']) await cluster.permits('scoped', { ...readingPipelines, namespace })
    const { kubeconfig } = await cluster.server.user('scoped')
    const operator = await startOperator(t, cluster, {
      kubeconfig,
      namespaces: 'farm, mill',
      podNamespace: 'farm',
      networkPolicy: true,
    })

    for (const namespace of ['farm', 'mill', 'other']) {
      await cluster.apply(
        minimalPipeline('ndvi', namespace, { redis: { url: redis.url }, source: { stream: namespace, group: 'g' } }),
      )
    }
    const pipeline = (namespace: string) => cluster.get<Loose>(kinds.pipelineType, namespace, 'ndvi')
    for (const namespace of ['farm', 'mill']) {
      await eventually(async () => {
        assert.equal(conditionOf(await pipeline(namespace), 'Reconciled')?.reason, 'ObjectsApplied')
        assert.equal(conditionOf(await pipeline(namespace), 'RedisReachable')?.reason, 'RedisConnected')
      }, slow)
      assert.ok(await cluster.get(kinds.deploymentType, namespace, consumerName('ndvi')))
      assert.ok(await cluster.get(kinds.networkPolicyType, namespace, consumerName('ndvi')))
    }
    assert.deepEqual(conditionOf(await pipeline('other'), 'Ready')?.reason, 'WaitingForOperator')
    assert.equal((await cluster.list(kinds.deploymentType, 'other')).length, 0)
    assert.ok(at(await cluster.get(kinds.secretType, 'farm', signingSecretName), 'data.key'))

    const asked = (await cluster.server.requests()).filter(({ user }) => user === 'scoped')
    assert.deepEqual(
      asked.filter(({ code }) => code === 403).map(({ verb, uri }) => `${verb} ${uri}`),
      [],
      'nothing it asks for is forbidden',
    )
    assert.deepEqual([...new Set(asked.filter(({ resource }) => resource === 'secrets').map(({ verb }) => verb))].sort(), [
      'create',
      'get',
    ])
    assert.deepEqual([...new Set(asked.filter(({ resource }) => resource !== '').map(({ namespace }) => namespace))].sort(), [
      'farm',
      'mill',
    ])

    // Starting again, an API server forbids everything for a moment, until it has read the Roles.
    await cluster.server.apiserver.kill()
    await cluster.server.apiserver.start()
    await cluster.patch(kinds.pipelineType, 'mill', 'ndvi', { spec: { source: { batchSize: 7 } } })
    await eventually(async () => {
      const config = await cluster.get<Loose>(kinds.configMapType, 'mill', consumerName('ndvi'))
      assert.match(JSON.stringify(config), /batchSize\W+7\b/, 'it goes on after the API server was away')
    }, slow)
    assert.equal(await operator.stop(), 0)
  },
)
