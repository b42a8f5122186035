/** A new operator, a foreign state and another policy together: the running number stays. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName } from '../../../operator/plan/names.ts'
import { keySpace } from '../../../redis/keys.ts'
import { parseDecisionLog } from '../../../scaling/decisionlog.ts'
import { parseScalingState } from '../../../scaling/storedstate.ts'
import { at, borrowCluster, minimalPipeline, startOperator } from '../../operator/cluster.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const patience = { timeoutMs: 60_000 }

test('an operator that takes over keeps what the Deployment runs, whatever state it finds', needsApiServer, async (t) => {
  const [cluster, redis] = await Promise.all([borrowCluster(t), startRedis(t)])
  const client = redis.client()
  const { stats } = keySpace('ndvi:jobs', 'ndvi')
  const numbers = async () => {
    const [deployment, pipeline] = await Promise.all([
      cluster.get(kinds.deploymentType, 'default', consumerName('ndvi')),
      cluster.get(kinds.pipelineType, 'default', 'ndvi'),
    ])
    return {
      deployed: at(deployment, 'spec.replicas'),
      desired: at(pipeline, 'status.scaling.desiredReplicas'),
      recommended: at(pipeline, 'status.scaling.recommendedReplicas'),
    }
  }

  const first = await startOperator(t, cluster)
  const spec = { redis: { url: redis.url }, replicas: 6, scaling: { policy: 'Manual', scaleDownDelay: '0s' } }
  await cluster.apply(minimalPipeline('ndvi', 'default', spec))
  await eventually(async () => {
    const { deployed, desired, recommended } = await numbers()
    assert.deepEqual([deployed, desired, Number.isInteger(recommended)], [6, 6, true])
    assert.equal(parseScalingState((await client.hget(stats, 'scaling')) ?? '')?.deployed, 6)
  }, patience)
  await first.stop()

  const kept = parseScalingState((await client.hget(stats, 'scaling')) ?? '')
  assert.equal(kept?.replicas, 6)
  const foreign = { ...kept, replicas: 1, recommended: 1, deployed: 1, wanted: [], capacity: { marks: {}, perSecond: 1e9 } }
  await client.hset(stats, 'scaling', JSON.stringify(foreign))
  await cluster.patch(kinds.pipelineType, 'default', 'ndvi', { spec: { scaling: { policy: 'Active' } } })

  const next = await startOperator(t, cluster, { decisionLog: 'all' })
  await eventually(() => {
    const seen = parseDecisionLog(next.lines.join(''), 'lines').filter(({ sample }) => sample !== null)
    assert.ok(seen.length >= 5)
    assert.deepEqual([...new Set(seen.map(({ decision }) => decision.replicas))], [6])
  }, patience)
  await eventually(async () => assert.deepEqual(await numbers(), { deployed: 6, desired: 6, recommended: 6 }), patience)
  await next.stop()
})
