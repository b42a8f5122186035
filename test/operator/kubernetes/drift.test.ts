/** Changes of others during a reconcile are mended too: the own write is remembered as settled, not the state after it. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName, dispatchName } from '../../../operator/plan/names.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { at, borrowCluster, conditionOf, type Loose, minimalPipeline, startOperator } from '../cluster.ts'
import { startRefusingProxy } from '../refusingproxy.ts'

const slow = { timeoutMs: 60_000, intervalMs: 100 }
const name = 'drifting'

test('children changed or deleted at any moment of a slow reconcile are mended', needsApiServer, async (t) => {
  const [cluster, redis] = await Promise.all([borrowCluster(t), startRedis(t)])
  const proxy = await startRefusingProxy(t, cluster.server)
  await startOperator(t, cluster, { kubeconfig: await proxy.kubeconfig('operator') })
  await cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url } }))
  const reconciled = () =>
    eventually(async () => {
      const found = await cluster.get<Loose>(kinds.pipelineType, 'default', name)
      const condition = conditionOf(found, 'Reconciled')
      assert.ok(condition)
      assert.equal(condition.reason, 'ObjectsApplied', condition.message)
      assert.equal(at(found, 'status.observedGeneration'), found?.metadata.generation)
    }, slow)
  await reconciled()

  const written = (kind: RegExp) => proxy.asked.filter(({ method, path }) => method === 'PATCH' && kind.test(path)).length
  const meddlings: readonly (() => Promise<void>)[] = [
    () => cluster.remove(kinds.configMapType, 'default', consumerName(name)),
    () => cluster.remove(kinds.disruptionBudgetType, 'default', consumerName(name)),
    () => cluster.remove(kinds.serviceAccountType, 'default', consumerName(name)),
    () => cluster.patch(kinds.configMapType, 'default', dispatchName(name), { data: { STREAMPIPELINE_DISPATCH: 'broken' } }),
    () => cluster.patch(kinds.disruptionBudgetType, 'default', consumerName(name), { spec: { maxUnavailable: 3 } }),
    () =>
      cluster.patch(kinds.configMapType, 'default', consumerName(name), {
        metadata: { labels: { 'streampipeline.dev/name': null } },
      }),
    () => cluster.remove(kinds.deploymentType, 'default', consumerName(name)),
  ]
  proxy.delayMs = ({ method, path }) => (method === 'PATCH' && /\/deployments\//.test(path) ? 700 : 0)
  for (const [round, meddle] of meddlings.entries()) {
    const before = written(/\/deployments\//)
    await cluster.patch(kinds.pipelineType, 'default', name, { spec: { source: { batchSize: 10 + round } } })
    // The Deployment comes last, so all others are written when its write is under way.
    await eventually(() => assert.ok(written(/\/deployments\//) > before), slow)
    await sleep(100 * (round % 3))
    await meddle()
    await eventually(
      async () => {
        const config = await cluster.get<Loose>(kinds.configMapType, 'default', consumerName(name))
        assert.equal(config?.metadata.labels?.['streampipeline.dev/name'], name)
        const reported = String((at(config, 'data') as Record<string, string> | undefined)?.['pipeline.yaml'])
        assert.match(reported, new RegExp(`"batchSize": ${10 + round},`))
        assert.ok(await cluster.get(kinds.serviceAccountType, 'default', consumerName(name)))
        assert.ok(await cluster.get(kinds.deploymentType, 'default', consumerName(name)))
        const budget = await cluster.get<Loose>(kinds.disruptionBudgetType, 'default', consumerName(name))
        assert.equal(at(budget, 'spec.maxUnavailable'), 1)
        const dispatch = await cluster.get<Loose>(kinds.configMapType, 'default', dispatchName(name))
        assert.match(String(at(dispatch, 'data.STREAMPIPELINE_DISPATCH')), /"mode":"Stream"/)
      },
      { timeoutMs: 15_000, intervalMs: 100 },
    )
    await reconciled()
  }
})
