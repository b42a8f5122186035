/** A Secret that cannot be read does not count as missing: nothing is taken away, and a lasting failure is reported. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName } from '../../../operator/plan/names.ts'
import { at, borrowCluster, conditionOf, type Loose, minimalPipeline, startOperator } from '../../operator/cluster.ts'
import { startRefusingProxy } from '../../operator/refusingproxy.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 90_000 }

test('while Secrets cannot be read all goes on by what was last read of them', needsApiServer, async (t) => {
  const [cluster, redis] = await Promise.all([borrowCluster(t), startRedis(t)])
  const proxy = await startRefusingProxy(t, cluster.server)
  const kubeconfig = await proxy.kubeconfig('operator')
  const options = { kubeconfig, networkPolicy: true, retryEveryMs: 2_000 }
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'default' },
    stringData: { url: redis.url },
  }
  await cluster.apply(secret)
  const spec = { redis: { urlFrom: { secretKeyRef: { name: 's', key: 'url' } } } }
  const first = await startOperator(t, cluster, options)
  await cluster.apply(minimalPipeline('one', 'default', spec))
  const pipeline = (name = 'one') => cluster.get<Loose>(kinds.pipelineType, 'default', name)
  const condition = async (type: string, name = 'one') => {
    const found = conditionOf(await pipeline(name), type)
    return `${found?.status} ${found?.reason}`
  }
  const egress = async () =>
    at(await cluster.get<Loose>(kinds.networkPolicyType, 'default', consumerName('one')), 'spec.policyTypes')
  const well = async () => {
    assert.equal(await condition('Reconciled'), 'True ObjectsApplied')
    assert.equal(await condition('RedisReachable'), 'True RedisConnected')
    assert.deepEqual(await egress(), ['Ingress', 'Egress'])
  }
  await eventually(well, slow)
  const isSecret = (path: string) => path === '/api/v1/namespaces/default/secrets/s'
  const refused = async (ms: number) => {
    for (const untilMs = performance.now() + ms; performance.now() < untilMs; ) await well()
  }

  // A blip of each kind: nothing shows.
  for (const refusal of [{ code: 500, reason: 'InternalError' }, { code: 403, reason: 'Forbidden' }, 'hang' as const]) {
    proxy.rule = ({ path }) => (isSecret(path) ? refusal : undefined)
    await refused(4_000)
  }
  // A lasting failure is reported as such, and still takes nothing away.
  proxy.rule = ({ path }) => (isSecret(path) ? { code: 403, reason: 'Forbidden' } : undefined)
  await eventually(async () => assert.equal(await condition('Reconciled'), 'Unknown Forbidden'), slow)
  assert.equal(await condition('RedisReachable'), 'True RedisConnected')
  assert.deepEqual(await egress(), ['Ingress', 'Egress'])
  const before = (await cluster.get(kinds.deploymentType, 'default', consumerName('one')))?.metadata

  // An operator that never read it leaves everything as it is.
  assert.equal(await first.stop(), 0)
  const second = await startOperator(t, cluster, { ...options, podName: 'second' })
  await cluster.patch(kinds.pipelineType, 'default', 'one', { spec: { source: { batchSize: 9 } } })
  await eventually(async () => {
    const found = await pipeline()
    assert.equal(at(found, 'status.observedGeneration'), found?.metadata.generation)
    assert.equal(await condition('Reconciled'), 'Unknown Forbidden')
  }, slow)
  assert.deepEqual(await egress(), ['Ingress', 'Egress'])
  const after = (await cluster.get(kinds.deploymentType, 'default', consumerName('one')))?.metadata
  assert.deepEqual([after?.uid, after?.generation], [before?.uid, before?.generation])
  proxy.rule = () => undefined
  await eventually(well, slow)

  // A stop waits for no read that hangs.
  proxy.rule = ({ path }) => (isSecret(path) ? 'hang' : undefined)
  const asked = proxy.asked.length
  await eventually(() => assert.ok(proxy.asked.slice(asked).some(({ path }) => isSecret(path))), slow)
  const startedMs = performance.now()
  assert.equal(await second.stop(), 0)
  assert.ok(performance.now() - startedMs < 9_000, `${performance.now() - startedMs} ms`)
})
