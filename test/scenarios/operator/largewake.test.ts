/** An entry that is larger than the operator may hold wakes its pipeline, and its bytes go nowhere. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createConnections } from '../../../operator/observe/connections.ts'
import { createWakers } from '../../../operator/observe/wakers.ts'
import { systemClock } from '../../../process/clock.ts'
import { open } from '../../../redis/connect/connection.ts'
import { keySpace } from '../../../redis/keys.ts'
import { observe } from '../../../sampling/observe.ts'
import { address, pipelineWith } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const mebibyte = 2 ** 20

test('a large entry wakes the pipeline it is for, alone, and only once', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  const connections = createConnections(systemClock)
  const lease = connections.lease(address(redis.port), 'ns')
  const woken: string[] = []
  const wakers = createWakers({ clock: systemClock, onWake: (key) => void woken.push(key) })
  t.after(async () => {
    await wakers.close()
    await lease.release()
  })
  await open(lease.connection)
  const sleep = (key: string, afterId: string) => wakers.sleeps(key, lease, { stream: `${key}:jobs`, afterId })
  const old = (await client.xadd('known:jobs', '*', 'a', 'b')) ?? ''
  sleep('large', '0-0')
  sleep('empty', '0-0')
  sleep('known', old)
  await eventually(async () => assert.match(await client.info('clients'), /blocked_clients:1/))
  const before = process.memoryUsage().rss
  const id = (await client.xadd('large:jobs', '*', 'x', Buffer.alloc(100 * mebibyte))) ?? ''
  await eventually(() => assert.deepEqual(woken, ['large']))
  // The test's own copy is among it.
  assert.ok(process.memoryUsage().rss - before < 180 * mebibyte)
  sleep('large', id)
  await eventually(async () => assert.match(await client.info('clients'), /blocked_clients:1/))
  await client.xadd('known:jobs', '*', 'a', 'b')
  await eventually(() => assert.deepEqual(woken, ['large', 'known']))
})

test('entries that have to be counted one by one are counted where they are', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  const pipeline = pipelineWith({ redis: { url: redis.url } })
  const { stream, group } = pipeline.source
  await client.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  const payload = Buffer.alloc(3 * mebibyte)
  const ids: string[] = []
  for (let n = 0; n < 12; n++) ids.push((await client.xadd(stream, '*', 'x', payload)) ?? '')
  await client.xreadgroup('GROUP', group, 'c', 'COUNT', 1, 'STREAMS', stream, '>')
  // Redis does not know the lag after that, and the page after the cursor is full.
  await client.xdel(stream, ids[5] ?? '')
  const connections = createConnections(systemClock)
  const lease = connections.lease(address(redis.port), 'ns')
  t.after(() => lease.release())
  await open(lease.connection)
  const sample = await observe(lease.connection, pipeline)
  assert.ok(sample.undelivered >= 1 && sample.undelivered <= 11, String(sample.undelivered))
})

test('of twenty thousand invented consumers a look brings back a bounded number, and those that hold entries', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  const pipeline = pipelineWith({ redis: { url: redis.url } })
  const { stream, group } = pipeline.source
  await client.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  await client.xadd(stream, '*', 'a', 'b')
  await client.xreadgroup('GROUP', group, 'real', 'COUNT', 1, 'STREAMS', stream, '>')
  const keys = keySpace(stream, group)
  const invented = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`ghost-${n}`, `owner/life-${n}`]))
  await client.hset(keys.consumers, { ...invented, real: 'owner/real', ['x'.repeat(100_000)]: 'owner/long' })
  for (let n = 0; n < 3_000; n++) await client.xgroup('CREATECONSUMER', stream, group, `idle-${n}`)
  const connections = createConnections(systemClock)
  const lease = connections.lease(address(redis.port), 'ns')
  t.after(() => lease.release())
  await open(lease.connection)
  const sample = await observe(lease.connection, pipeline)
  assert.ok(sample.consumers.length <= 4_000, String(sample.consumers.length))
  const real = sample.consumers.find(({ name }) => name === 'real')
  assert.deepEqual([real?.uid, real?.pending], ['owner/real', 1])
})
