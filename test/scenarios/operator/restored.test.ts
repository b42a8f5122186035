/** An etcd restored to an earlier state, under a running operator: the present state of the server counts. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { cp, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { KubernetesObject } from '../../../operator/kubernetes/objects.ts'
import { createStore, type StoreChange } from '../../../operator/kubernetes/store.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName } from '../../../operator/plan/names.ts'
import { at, conditionOf, type Loose, minimalPipeline, startCluster, startOperator } from '../../operator/cluster.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 90_000 }

test('a list is the truth: it replaces newer versions by older ones, and removes what is not in it', () => {
  const changes: StoreChange<KubernetesObject>[] = []
  const trimmedForm = ({ metadata }: KubernetesObject): KubernetesObject => ({ metadata })
  const store = createStore<KubernetesObject>({ trimmedForm, handlers: [(change) => changes.push(change)] })
  const thing = (name: string, resourceVersion: string, data: string): KubernetesObject =>
    ({ kind: 'ConfigMap', metadata: { namespace: 'a', name, resourceVersion }, data }) as KubernetesObject
  store.replace([thing('x', '200', 'new'), thing('gone', '190', 'new')])
  store.trim('a/x')
  assert.equal(at(store.get('a/x'), 'data'), undefined)
  store.remove(thing('gone', '210', 'new'))
  store.replace([thing('x', '100', 'old')])
  assert.deepEqual(store.get('a/x'), thing('x', '100', 'old'), 'whole again: the version that was condensed no longer exists')
  store.set(thing('x', '150', 'newer'))
  store.set(thing('gone', '160', 'again'))
  assert.deepEqual([at(store.get('a/x'), 'data'), at(store.get('a/gone'), 'data')], ['newer', 'again'])
  store.replace(
    [thing('y', '90', 'b')].map((each) => ({ ...each, metadata: { ...each.metadata, namespace: 'b' } })),
    'b',
  )
  assert.equal(store.size, 3, 'a list of one namespace says nothing of another')
  store.replace([], 'a')
  assert.deepEqual(
    store.list().map(({ metadata }) => metadata.namespace),
    ['b'],
  )
})

test('etcd goes back under a running operator, which follows', needsApiServer, async (t) => {
  const [cluster, redis] = await Promise.all([startCluster(t), startRedis(t)])
  const { etcd, apiserver, kubeconfig } = cluster.server
  const folder = dirname(kubeconfig)
  const data = join(folder, (await readdir(folder)).find((name) => name.startsWith('etcd-')) ?? '')
  const operator = await startOperator(t, cluster)
  const pipeline = (name: string) => cluster.get<Loose>(kinds.pipelineType, 'default', name)
  const make = (name: string) => cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url } }))
  const batch = (name: string, batchSize: number) =>
    cluster.patch(kinds.pipelineType, 'default', name, { spec: { source: { batchSize } } })
  const carriedOut = (name: string, batchSize: number) =>
    eventually(async () => {
      const found = await pipeline(name)
      assert.equal(at(found, 'status.observedGeneration'), found?.metadata.generation)
      assert.equal(conditionOf(found, 'Reconciled')?.reason, 'ObjectsApplied')
      const config = await cluster.get<Loose>(kinds.configMapType, 'default', consumerName(name))
      assert.match(JSON.stringify(config), new RegExp(`batchSize\\W+${batchSize}\\b`))
    }, slow)
  const restart = async (between: () => Promise<void>) => {
    await apiserver.stop()
    await etcd.stop()
    await between()
    await etcd.start()
    await apiserver.start()
  }
  await make('kept')
  await make('deleted')
  await batch('kept', 5)
  await carriedOut('kept', 5)
  await restart(() => cp(data, `${data}.copy`, { recursive: true }))
  for (let size = 6; size <= 40; size++) await batch('kept', size)
  await carriedOut('kept', 40)
  await cluster.remove(kinds.pipelineType, 'default', 'deleted')
  await make('lost')
  await eventually(async () => assert.ok(await cluster.get(kinds.deploymentType, 'default', consumerName('lost'))), slow)

  await restart(async () => {
    await rm(data, { recursive: true })
    await cp(`${data}.copy`, data, { recursive: true })
  })
  assert.equal(await pipeline('lost'), undefined)
  await carriedOut('kept', 5)
  // As soon as writes are allowed again, and as often as before, so that generations come again with other contents.
  await batch('kept', 77)
  await carriedOut('kept', 77)
  for (let size = 78; size <= 112; size++) await batch('kept', size)
  await carriedOut('kept', 112)
  await batch('deleted', 9)
  await carriedOut('deleted', 9)
  await cluster.patch(kinds.configMapType, 'default', consumerName('deleted'), { data: { 'pipeline.yaml': 'edited' } })
  await carriedOut('deleted', 9)
  await make('lost')
  await eventually(async () => assert.ok(await cluster.get(kinds.deploymentType, 'default', consumerName('lost'))), slow)
  assert.ok(operator.lines.some((line) => line.includes('the API server went back to an earlier state')))
})
