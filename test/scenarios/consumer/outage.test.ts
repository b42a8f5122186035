import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertOnce, type ConsumerProcess, openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const source = { stream: '{o}:jobs', batchSize: 50 }
const patience = { timeoutMs: 30_000 }

const unready = (consumer: ConsumerProcess) => eventually(async () => (await consumer.get('/readyz')).status === 503, patience)

async function onOwnServer(t: TestContext, options: Parameters<typeof startRedis>[1] = {}, spec: object = {}) {
  const server = await startRedis(t, options)
  return { server, ...openPipeline(t, server, { source, ...spec }) }
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`Redis ends by ${signal} and comes back: not ready meanwhile, then nothing lost, nothing doubled, no count moved`, async (t) => {
    const { server, add, start, jobs, waiting, pending, dead, redis, place, pipeline } = await onOwnServer(
      t,
      { appendonly: true },
      // Longer than a busy machine keeps one of the two from working.
      { reclaim: { minIdle: '3s', interval: '1s' } },
    )
    const [one, two] = await Promise.all([start('pod-0'), start('pod-1')])
    await add(1_000)
    await eventually(async () => (await waiting()) > 100, { ...patience, intervalMs: 1 })
    await server.kill(signal)
    await Promise.all([unready(one), unready(two)])
    assert.match((await one.get('/readyz')).body, /^BackendDown: Redis at 127\.0\.0\.1:\d+ cannot be reached/)
    assert.equal((await one.get('/livez')).status, 200)
    await sleep(pipeline.reclaim.minIdleMs)
    await server.start()
    await Promise.all([one.ready(), two.ready()])
    await add(500, 1_000)
    await eventually(async () => (await waiting()) === 1_500 && (await pending()).length === 0, { timeoutMs: 60_000 })
    assertOnce(await jobs(), 1_500)
    assert.deepEqual(await dead(), [])
    assert.equal(await redis.hget(place.keys.stats, 'dead'), null)
    for (const consumer of [one, two]) {
      assert.equal(await consumer.metric('stream_consumer_reclaimed_total'), 0, 'nothing held was taken for abandoned')
      assert.equal((await consumer.stop()).code, 0)
    }
  })
}

test('FLUSHALL while it runs: the group is made again and logged, and every entry after it flows', async (t) => {
  for (const startFrom of ['Beginning', 'End']) {
    const fixture = await onOwnServer(t, {}, { source: { ...source, startFrom } })
    const { add, start, waiting, redis } = fixture
    const consumer = await start('pod-0')
    await add(10)
    await eventually(async () => (await waiting()) === 10)
    await redis.multi().flushall().xadd(source.stream, '*', 'job_id', 'first').exec()
    await consumer.logged('the consumer group was gone and has been made again')
    await redis.xadd(source.stream, '*', 'job_id', 'second')
    await eventually(async () => (await waiting()) === 2, patience)
    assert.deepEqual(await fixture.jobs(), ['first', 'second'])
  }
})

test('the stream deleted, the group destroyed: both made again', async (t) => {
  const { add, start, waiting, redis, jobs } = await onOwnServer(t)
  await start('pod-0')
  await add(10)
  await eventually(async () => (await waiting()) === 10)
  await redis.del(source.stream)
  await eventually(async () => (await redis.exists(source.stream)) === 1, patience)
  await add(10, 10)
  await eventually(async () => (await waiting()) === 20, patience)
  await redis.xgroup('DESTROY', source.stream, 'ndvi')
  await eventually(async () => ((await redis.xinfo('GROUPS', source.stream)) as unknown[]).length === 1, patience)
  await add(10, 20)
  await eventually(async () => (await waiting()) === 30, patience)
  assertOnce(await jobs(), 30)
})

test('Redis made a replica: READONLY is an outage, promoted it goes on', async (t) => {
  const primary = await startRedis(t)
  const { add, start, waiting, redis, pending } = await onOwnServer(t)
  const consumer = await start('pod-0')
  await add(1)
  await eventually(async () => (await waiting()) === 1)
  await redis.call('CONFIG', 'SET', 'replica-serve-stale-data', 'yes')
  // A silent primary leaves the data alone. (Another process may get the port of a dead one.)
  await primary.kill('SIGSTOP')
  await redis.replicaof('127.0.0.1', primary.port)
  // It holds nothing, and so it tries to read anew now and then.
  await eventually(
    async () => assert.match((await consumer.get('/readyz')).body, /^BackendDown: .*(READONLY|UNBLOCKED)/),
    patience,
  )
  await redis.replicaof('NO', 'ONE')
  await consumer.ready()
  await add(5, 1)
  await eventually(async () => (await waiting()) === 6 && (await pending()).length === 0, patience)
})

test('an outage that begins within a round of reclaiming: after it, too, the others get their time to renew what they hold', async (t) => {
  const { start, makeGroup, place, redis, waiting } = await onOwnServer(t)
  await makeGroup()
  const consumer = await start('pod-0')
  // Nothing but a round claims here.
  await redis.call('ACL', 'SETUSER', 'default', '-xclaim')
  const left = redis.multi().xadd(place.stream, '*', 'job_id', '0')
  left.call('XREADGROUP', 'GROUP', place.group, 'peer', 'STREAMS', place.stream, '>')
  await left.exec()
  await eventually(() => consumer.log().some(({ failures }) => failures !== undefined))
  const begun = performance.now()
  await redis.call('ACL', 'SETUSER', 'default', '+@all')
  await eventually(async () => (await waiting()) === 1, { timeoutMs: 60_000 })
  assert.ok(performance.now() - begun > 6_000, `taken after ${Math.round(performance.now() - begun)} ms`)
})
