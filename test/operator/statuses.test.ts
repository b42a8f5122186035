/** A seeded share of the histories of `npm run trial -- --statuses 10000`, and histories that once led to a false status. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tryStatuses } from '../../bench/trial/statuses.ts'
import { consumerName } from '../../operator/plan/names.ts'
import { seed } from '../support/seed.ts'
import { seededRandom } from './election/simulation.ts'
import { startOperator } from './statuses/operator.ts'
import { firstSpec } from './statuses/specs.ts'
import { createWorld, deploymentKey, key, name, namespace, type SentStatus, type World } from './statuses/world.ts'

/** The same histories in each run, unless a seed is given: the trial is for others. */
const first = process.env['STREAMPIPELINE_SEED'] === undefined ? 1 : seed

test(`no status is false, whatever happens to the pipeline (STREAMPIPELINE_SEED=${first})`, async (t) => {
  const told: string[] = []
  const result = await tryStatuses({ histories: 15, seed: first, progress: (line) => void told.push(line) })
  t.diagnostic(JSON.stringify(result))
  assert.ok(result.ok, told.join('\n'))
  assert.ok(result.ready > 20)
})

interface Stage {
  readonly world: World
  readonly sent: SentStatus[]
  readonly operator: ReturnType<typeof startOperator>
  /** The condition in the last status that was sent. */
  last(type: string): { readonly status: string; readonly reason: string; readonly message: string }
}

/** A pipeline that is at work. */
async function atWork(): Promise<Stage> {
  const sent: SentStatus[] = []
  const world = createWorld(seededRandom(1), (one) => void sent.push(one))
  const metadata = { name, namespace }
  world.api.create('streampipelines', {
    apiVersion: 'streampipeline.dev/v1alpha1',
    kind: 'StreamPipeline',
    metadata,
    spec: firstSpec,
  })
  const operator = startOperator(world, (thrown) => assert.fail(String(thrown)))
  await world.time.runUntil(20_000)
  const last = (type: string) => {
    const condition = sent.at(-1)?.status.conditions?.find((each) => each.type === type)
    assert.ok(condition)
    return condition
  }
  assert.equal(last('Ready').status, 'True')
  sent.length = 0
  return { world, sent, operator, last }
}

const conditionsOf = (sent: readonly SentStatus[], type: string) =>
  sent.map(({ status }) => status.conditions?.find((condition) => condition.type === type)?.status)

test('a status after slow writes rests on pods as they are then', async () => {
  const { world, sent } = await atWork()
  world.api.network.slowMs = 20_000
  world.api.change('configmaps', deploymentKey, { data: { 'pipeline.yaml': 'spoilt' } })
  await world.time.runUntil(21_000)
  for (const pod of world.pods.list()) world.pods.strike(pod.key, 'Crash', 120_000)
  await world.time.runUntil(60_000)
  assert.ok(sent.length > 0)
  assert.equal(conditionsOf(sent, 'Ready').includes('True'), false)
})

test('an object that is deleted while another is written does not count as applied', async () => {
  const { world, sent } = await atWork()
  world.api.network.slowMs = 9_000
  world.api.change('streampipelines', key, { spec: { source: { stream: 's2' } } })
  const gone = () => world.api.remove('serviceaccounts', deploymentKey)
  await world.time.runUntil(24_000)
  gone()
  await world.time.runUntil(29_000)
  const early = conditionsOf(
    sent.filter(({ atMs }) => atMs > 24_000),
    'Reconciled',
  )
  const isBack = world.api.get('serviceaccounts', deploymentKey) !== undefined
  assert.ok(isBack || !early.includes('True'), `${consumerName(name)} is gone: ${early.join(', ')}`)
})

test('after an outage of the API server no status rests on what was known before it', async () => {
  const { world, sent } = await atWork()
  world.api.network.down = true
  world.api.breakWatches()
  for (const pod of world.pods.list()) world.pods.strike(pod.key, 'Crash', 120_000)
  world.redis.setState('redis-a', 'Refused')
  await world.time.runUntil(32_000)
  world.api.network.down = false
  const tried = sent.length
  await world.time.runUntil(90_000)
  const after = sent.slice(tried)
  assert.ok(after.length > 0)
  assert.equal(conditionsOf(after, 'ConsumersAvailable').includes('True'), false)
})

test('a write that fails is not told as applied before it succeeds', async () => {
  const { world, sent } = await atWork()
  world.api.network.errors = 1
  world.api.change('configmaps', deploymentKey, { data: { 'pipeline.yaml': 'spoilt' } })
  for (const pod of world.pods.list()) world.pods.strike(pod.key, 'Probe', 120_000)
  await world.time.runUntil(60_000)
  assert.deepEqual([...new Set(conditionsOf(sent, 'Reconciled'))], ['False'])
})

test('a Redis that became a replica is told at the next look', async () => {
  const { world, last } = await atWork()
  world.redis.setState('redis-a', 'Replica')
  await world.time.runUntil(26_000)
  assert.deepEqual([last('RedisReachable').status, last('RedisReachable').reason], ['False', 'RedisNotReady'])
})

test('while Redis is away, the time of the numbers is told, and they are of this stream', async () => {
  const { world, sent, last } = await atWork()
  world.redis.setStream('redis-a', 's1 g', { undelivered: 70, added: 70, oldestMs: 20_000, lastAddedMs: 20_000 })
  await world.time.runUntil(26_000)
  world.redis.setState('redis-a', 'Refused')
  await world.time.runUntil(40_000)
  assert.match(last('RedisReachable').message, /Backlog and consumers in status are as of 2026-11-22T12:00:2\dZ$/)
  assert.match(last('DataIntact').message, /Redis cannot be asked: this is as of 2026-11-22T12:00:2\dZ$/)
  assert.ok(sent.at(-1)?.status.backlog)
  world.redis.setState('redis-b', 'Refused')
  world.api.change('streampipelines', key, { spec: { redis: { url: 'redis://redis-b:6379/0' } } })
  await world.time.runUntil(60_000)
  assert.equal(sent.at(-1)?.status.backlog, undefined)
  assert.equal(last('DataIntact').status, 'Unknown')
})

test('the quiet time of one stream is not that of another', async () => {
  const { world, last } = await atWork()
  await world.time.runUntil(160_000)
  world.api.change('streampipelines', key, { spec: { mode: 'Direct', source: { stream: 's2' } } })
  await world.time.runUntil(240_000)
  assert.deepEqual([last('Drained').status, last('Drained').reason], ['False', 'Draining'])
  await world.time.runUntil(300_000)
  assert.deepEqual([last('Drained').status, last('Drained').reason], ['True', 'StreamSettled'])
})

test('no status rests on a look that is older than the interval of looks', async () => {
  const { world, sent } = await atWork()
  world.redis.setState('redis-a', 'Silent')
  for (let ms = 20_000; ms < 40_000; ms += 500) {
    world.deployments.touch(deploymentKey)
    world.api.change('pods', world.pods.list()[0]?.key ?? '', { metadata: { annotations: { at: String(ms) } } })
    if (ms === 26_000) for (const pod of world.pods.list()) world.pods.strike(pod.key, 'Probe', 60_000)
    await world.time.runUntil(ms)
  }
  const silentMs = world.looks.filter(({ ok }) => ok).at(-1)?.atMs ?? 0
  const late = sent.filter(({ atMs }) => atMs > silentMs + 5_100)
  assert.ok(late.length > 0)
  assert.equal(conditionsOf(late, 'RedisReachable').includes('True'), false)
})
