/** Zero and back, with the operator as a process of its own: how soon, for how many, and its report if it may not wait. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runWakes } from '../../../bench/trial/wake.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName } from '../../../operator/plan/names.ts'
import { keySpace } from '../../../redis/keys.ts'
import { at, borrowCluster, conditionOf, type Loose, minimalPipeline, startOperator } from '../../operator/cluster.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { seed } from '../../support/seed.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 60_000 }

test('a first entry scales at once: a tenth of the trial (npm run trial -- --wakes 200)', needsApiServer, async (t) => {
  const reported: string[] = []
  const progress = (line: string) => void reported.push(line)
  const result = await runWakes(t, { asleep: 20, wakes: 10, together: 5, seed, progress })
  t.diagnostic(JSON.stringify(result))
  // The bar itself is for the trial: here other tests have the processors. A look would take five seconds.
  assert.ok(result.p50Ms < 1_500, JSON.stringify(result))
  assert.equal(result.wokenForNothing, 0)
  assert.deepEqual(result.connections, { observer: 1, alarm: 1 })
})

test('sleeping pipelines, seldom looked at', needsApiServer, async (suite) => {
  const [cluster, redis] = await Promise.all([borrowCluster(suite), startRedis(suite)])
  const client = redis.client()
  // So seldom that only a waker can be the reason.
  const operator = await startOperator(suite, cluster, { observeEveryMs: 60_000 })
  const deployment = (name: string) => cluster.get<Loose>(kinds.deploymentType, 'default', consumerName(name))
  const replicas = async (name: string) => at(await deployment(name), 'spec.replicas')
  const scaling = { minReplicas: 0, maxReplicas: 20, targetAge: '10s' }
  const asleep = async (name: string, spec: object) => {
    await cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url }, ...spec }))
    await eventually(async () => {
      assert.ok(conditionOf(await cluster.get<Loose>(kinds.pipelineType, 'default', name), 'RedisReachable')?.status === 'True')
      assert.equal(await replicas(name), 0)
    }, slow)
  }

  await suite.test('an absent stream is calm, and its first entry wakes', async () => {
    await asleep('absent', { scaling })
    assert.equal(await client.exists('absent:jobs'), 0)
    await client.xadd('absent:jobs', '*', 'n', '1')
    await eventually(async () => assert.equal(await replicas('absent'), 1), slow)
  })

  await suite.test('where the speed of a consumer is remembered, a burst wakes straight to the number it needs', async () => {
    const { stats } = keySpace('burst:jobs', 'burst')
    const wanted = [{ atMs: Date.now() - 60_000, replicas: 0 }]
    const remembered = { capacity: { marks: {}, perSecond: 20 }, startUp: { typicalMs: 2_000 }, wanted, rush: [] }
    const state = { version: 1, atMs: Date.now() - 60_000, replicas: 0, misses: 0, arrivals: [], ...remembered }
    await client.hset(stats, 'scaling', JSON.stringify(state))
    await asleep('burst', { scaling })
    const seen: unknown[] = []
    const burst = client.multi()
    for (let n = 0; n < 1_000; n++) burst.xadd('burst:jobs', '*', 'n', String(n))
    await burst.exec()
    await eventually(async () => {
      const now = await replicas('burst')
      if (now !== seen.at(-1)) seen.push(now)
      assert.ok(Number(now) > 1)
    }, slow)
    // 1,000 entries in half of ten seconds, at 20 a second each.
    assert.ok(Number(seen.at(-1)) >= 8, JSON.stringify(seen))
    assert.ok(!seen.includes(1), `straight to it: ${JSON.stringify(seen)}`)
  })

  await suite.test('a group that starts at the end is there before the first entry, or nothing would be new to it', async () => {
    await client.xadd('late:jobs', '*', 'n', 'of old')
    await asleep('late', { scaling, source: { stream: 'late:jobs', group: 'late', startFrom: 'End' } })
    const groups: unknown = await client.call('XINFO', 'GROUPS', 'late:jobs')
    assert.ok(Array.isArray(groups) && groups.length === 1)
    await client.xadd('late:jobs', '*', 'n', 'new')
    await eventually(async () => assert.equal(await replicas('late'), 1), slow)
  })

  await suite.test('under Direct, drained, a late entry brings a consumer back', async () => {
    await asleep('direct', { mode: 'Direct', scaling })
    await client.xadd('direct:jobs', '*', 'n', '1')
    await eventually(async () => assert.equal(await replicas('direct'), 1), slow)
  })

  await suite.test('where Redis refuses the read it is reported, and looks wake', async (t) => {
    await operator.stop()
    await client.acl('SETUSER', 'default', '-xread')
    await startOperator(t, cluster)
    await cluster.apply(minimalPipeline('deaf', 'default', { redis: { url: redis.url }, scaling: { minReplicas: 0 } }))
    await eventually(async () => {
      const reported = conditionOf(await cluster.get<Loose>(kinds.pipelineType, 'default', 'deaf'), 'ScalingActive')
      assert.equal(reported?.reason, 'WakesLate', String(reported?.message))
      assert.equal(reported?.status, 'True')
      assert.match(reported?.message ?? '', /xread.*Grant XREAD/i)
    }, slow)
    await client.acl('SETUSER', 'default', '+xread')
    await client.xadd('deaf:jobs', '*', 'n', '1')
    await eventually(async () => {
      assert.equal(at(await cluster.get<Loose>(kinds.deploymentType, 'default', consumerName('deaf')), 'spec.replicas'), 1)
    }, slow)
    await eventually(async () => {
      const reported = conditionOf(await cluster.get<Loose>(kinds.pipelineType, 'default', 'deaf'), 'ScalingActive')
      assert.equal(reported?.reason, 'ScalingOnAge', String(reported?.message))
    }, slow)
  })
})
