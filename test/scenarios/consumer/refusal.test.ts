import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
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

test('out of memory for longer than minIdle: BackendDown, delivery counts unmoved, then all goes on', async (t) => {
  const { add, start, jobs, waiting, pending, dead, redis, makeGroup } = await onOwnServer(t)
  await makeGroup()
  const consumers = await Promise.all([start('pod-0'), start('pod-1')])
  const full = async () => await redis.config('SET', 'maxmemory', '1')
  const ids = await redis
    .multi()
    .xadd(source.stream, '*', 'job_id', '0')
    .xadd(source.stream, '*', 'job_id', '1')
    .config('SET', 'maxmemory', '1')
    .exec()
  assert.equal(ids?.length, 3)
  await full()
  await Promise.all(consumers.map(unready))
  await Promise.all(consumers.map((consumer) => consumer.logged(/out of memory/)))
  const since = performance.now()
  await eventually(() => performance.now() - since > 4_000, patience)
  for (const { deliveries } of await pending()) assert.ok(deliveries <= 1)
  await redis.config('SET', 'maxmemory', '0')
  await Promise.all(consumers.map((consumer) => consumer.ready()))
  await add(98, 2)
  await eventually(async () => (await waiting()) === 100 && (await pending()).length === 0, { timeoutMs: 60_000 })
  assertOnce(await jobs(), 100)
  assert.deepEqual(await dead(), [])
  for (const consumer of consumers) assert.equal(await consumer.metric('stream_consumer_reclaimed_total'), 0)
})
