/**
 * Redis without memory for longer than `minIdle` × `maxDeliveries`, on each path: entries that are held, entries that a dead peer
 * left, a consumer that is killed and started again meanwhile. No delivery is counted, nothing is dead-lettered, and all are
 * forwarded once there is memory again.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PathKind } from '../../../redis/settle/path.ts'
import { assertOnce, openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const minIdleMs = 1_000
const maxDeliveries = 2
const outageMs = 3 * minIdleMs * maxDeliveries

const env = (path: PathKind): Record<string, string> =>
  path === 'Portable' ? { NODE_OPTIONS: '--import ./test/paths/altered.ts' } : {}

async function outOfMemory(t: TestContext, path: PathKind) {
  const server = await startRedis(t)
  // The queue's Redis, where it is another, runs out of memory too: whichever refuses, the entry waits.
  const elsewhere = path === 'Split' ? await startRedis(t) : undefined
  const fixture = openPipeline(t, server, {
    source: { stream: '{oom}:jobs', batchSize: 20 },
    reclaim: { minIdle: `${minIdleMs}ms`, interval: '1s' },
    delivery: { maxDeliveries },
    ...(elsewhere === undefined ? {} : { sink: { redis: { url: elsewhere.url } } }),
  })
  const { redis, makeGroup, start, pending, dead, place } = fixture
  const queue = elsewhere?.client() ?? redis
  const limit = async (maxmemory: string) => {
    for (const client of new Set([redis, queue])) await client.config('SET', 'maxmemory', maxmemory)
  }
  await makeGroup()
  const consumers = await Promise.all(['pod-0', 'pod-1'].map(async (name) => await start(name, { env: env(path) })))
  assert.equal((await consumers[0]?.logged(/forward path/))?.['path'], path)

  // Entries of a peer that died at its last attempt but one; younger than minIdle when memory ends.
  const flood = redis.multi()
  for (let i = 0; i < 60; i++) flood.xadd(place.stream, '*', 'job_id', String(i))
  flood.call('XREADGROUP', 'GROUP', place.group, 'dead-peer', 'COUNT', 10, 'STREAMS', place.stream, '>')
  flood.config('SET', 'maxmemory', '1')
  await flood.exec()
  await limit('1')
  const begun = performance.now()
  const unready = async (consumer: (typeof consumers)[number]) =>
    await eventually(async () => (await consumer.get('/readyz')).status === 503, { timeoutMs: 30_000 })
  await Promise.all(consumers.map(unready))
  const before = new Map((await pending()).map(({ id, deliveries }) => [id, deliveries]))
  assert.ok(before.size >= 10, `${before.size} pending`)
  await consumers[1]?.stop('SIGKILL')
  const again = await start('pod-1', { ready: false, env: env(path) })
  while (performance.now() - begun < outageMs) {
    await sleep(500)
    for (const { id, deliveries } of await pending()) {
      assert.ok(deliveries <= (before.get(id) ?? 1), `${id}: ${deliveries} deliveries, ${before.get(id)} before`)
    }
    assert.deepEqual(await dead(), [])
  }
  assert.notEqual((await again.get('/readyz').catch(() => ({ status: 503 }))).status, 200)
  assert.deepEqual([...new Set((await pending()).map(({ deliveries }) => deliveries))], [1])
  await limit('0')
  await Promise.all([consumers[0]?.ready(), again.ready()])
  const jobs = async () => {
    const ids = (await queue.lrange(`${fixture.queueKey}:wait`, 0, -1)).map((id) => `${fixture.queueKey}:${id}`)
    return await Promise.all(ids.map(async (id) => String(JSON.parse((await queue.hget(id, 'data')) ?? '{}').job_id)))
  }
  await eventually(async () => (await jobs()).length >= 60 && (await pending()).length === 0, { timeoutMs: 60_000 })
  assertOnce(await jobs(), 60)
  assert.deepEqual(await dead(), [])
  assert.equal(await redis.hget(place.keys.stats, 'dead'), null)
}

for (const path of ['Atomic', 'Split', 'Portable'] as const) {
  test(`${path}: out of memory for three times minIdle × maxDeliveries`, async (t) => await outOfMemory(t, path))
}
