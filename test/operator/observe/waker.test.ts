/**
 * The blocking read that wakes sleeping pipelines, on real servers: the pipelines that it wakes, and the faults that it survives.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Cluster, Redis } from 'ioredis'
import { createConnections, type RedisLease } from '../../../operator/observe/connections.ts'
import { createWakers } from '../../../operator/observe/wakers.ts'
import { systemClock } from '../../../process/clock.ts'
import { open } from '../../../redis/connect/connection.ts'
import type { RedisAddress } from '../../../redis/connect/references.ts'
import { address } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import { shortest } from '../../support/shortest.ts'
import { eventually } from '../../support/wait.ts'
import { startCluster } from '../../topology/support/cluster.ts'
import { masterName, startSentinels } from '../../topology/support/sentinel.ts'

const slow = { timeoutMs: 30_000 }

async function wakersAt(t: TestContext, place: RedisAddress) {
  const connections = createConnections(systemClock)
  const lease: RedisLease = connections.lease(place, 'ns')
  const woken: string[] = []
  const wakers = createWakers({ clock: systemClock, onWake: (key) => void woken.push(key) })
  t.after(async () => {
    await wakers.close()
    await lease.release()
  })
  await open(lease.connection)
  const sleep = (key: string, afterId = '0-0') => wakers.sleeps(key, lease, { stream: `${key}:jobs`, afterId })
  const wakes = async (...keys: string[]) => {
    await eventually(() => assert.deepEqual([...woken].sort(), keys.sort()), slow)
    woken.length = 0
  }
  return { wakers, lease, woken, sleep, wakes }
}

const blocked = async (client: Redis) => Number(/^blocked_clients:(\d+)/m.exec(await client.info('clients'))?.[1])
/** A read waits for all of these streams. */
const reads = async (client: Redis, count: number) => {
  await eventually(async () => assert.equal(await blocked(client), count), slow)
}
const wakerClients = async (client: Redis) =>
  String(await client.client('LIST'))
    .split('\n')
    .filter((line) => line.includes('name=streampipeline-alarm')).length

test('an entry wakes its own pipeline, one connection waits for all, and nothing is made or taken', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  const { sleep, woken, wakes, wakers } = await wakersAt(t, address(redis.port))
  await client.xgroup('CREATE', 'p7:jobs', 'g', '0', 'MKSTREAM')
  for (let n = 0; n < 200; n++) sleep(`p${n}`)
  await reads(client, 1)
  await client.xadd('other:jobs', '*', 'a', 'b')
  await client.xadd('p7:jobs', '*', 'a', 'b')
  await wakes('p7')
  await client.xadd('p7:jobs', '*', 'a', 'b')
  await client.xadd('p8:jobs', '*', 'a', 'b')
  await wakes('p8')
  assert.equal(await wakerClients(client), 1)
  assert.deepEqual((await client.keys('*')).sort(), ['other:jobs', 'p7:jobs', 'p8:jobs'])
  assert.equal(await client.xlen('p7:jobs'), 2)
  const [group] = (await client.xinfo('GROUPS', 'p7:jobs')) as string[][]
  assert.deepEqual(group?.slice(0, 8), ['name', 'g', 'consumers', 0, 'pending', 0, 'last-delivered-id', '0-0'])
  for (let n = 0; n < 200; n++) wakers.awake(`p${n}`)
  await eventually(async () => assert.equal(await wakerClients(client), 0), slow)
  assert.deepEqual(woken, [])
})

test('one that falls asleep while the others are waited for is waited for at once, too', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  const { sleep, wakes } = await wakersAt(t, address(redis.port))
  sleep('first')
  await reads(client, 1)
  const begun = async () => Number(/cmdstat_xread:calls=(\d+)/.exec(await client.info('commandstats'))?.[1])
  const tookMs = await shortest(2_000, async (nth) => {
    const before = await begun()
    const startedMs = performance.now()
    sleep(`later-${nth}`)
    await eventually(async () => assert.ok((await begun()) > before), { ...slow, intervalMs: 5 })
    return performance.now() - startedMs
  })
  assert.ok(tookMs < 2_000, 'before the read under way ends by itself')
  await client.xadd('later-0:jobs', '*', 'a', 'b')
  await wakes('later-0')
})

test('an entry that came between the look and the read wakes', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  const before = await client.xadd('gap:jobs', '*', 'a', 'b')
  await client.xadd('gap:jobs', '*', 'a', 'b')
  const { sleep, wakes, woken } = await wakersAt(t, address(redis.port))
  sleep('gap', before ?? '')
  await wakes('gap')
  sleep('gap', String((await client.xrevrange('gap:jobs', '+', '-', 'COUNT', 1))[0]?.[0]))
  await reads(client, 1)
  assert.deepEqual(woken, [])
})

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`Redis restarts while blocked (${signal}): what came meanwhile wakes, and so does what comes later`, async (t) => {
    const redis = await startRedis(t, { appendonly: true })
    const client = redis.client({ maxRetriesPerRequest: null })
    const { sleep, wakes } = await wakersAt(t, address(redis.port))
    sleep('early')
    sleep('late')
    await reads(client, 1)
    await redis.restart(signal)
    await client.xadd('early:jobs', '*', 'a', 'b')
    await wakes('early')
    await reads(client, 1)
    await client.xadd('late:jobs', '*', 'a', 'b')
    await wakes('late')
  })
}

test('a killed connection is made again', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  const { sleep, wakes } = await wakersAt(t, address(redis.port))
  sleep('p')
  await reads(client, 1)
  await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await reads(client, 1)
  await client.xadd('p:jobs', '*', 'a', 'b')
  await wakes('p')
})

const restricted = async (client: Redis, ...rules: string[]) =>
  void (await client.call('ACL', 'SETUSER', 'observer', 'reset', 'on', '>secret', ...rules))
const asObserver = { username: 'observer', password: 'secret' }

test('a user without XREAD: reported for each sleeping pipeline, and none is woken', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  await restricted(client, '~*', '+@all', '-xread')
  const { sleep, wakers, woken } = await wakersAt(t, address(redis.port, asObserver))
  sleep('p')
  sleep('q')
  await eventually(() => {
    for (const key of ['p', 'q']) assert.equal(wakers.refusal(key)?.code, 'RedisPermissionDenied')
  }, slow)
  assert.match(wakers.refusal('p')?.message ?? '', /xread/i)
  await client.xadd('p:jobs', '*', 'a', 'b')
  sleep('p')
  assert.deepEqual(woken, [])
  wakers.awake('p')
  assert.equal(wakers.refusal('p'), undefined)
})

test('a key the user may not read, or of another type, spoils only its own waker', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  await restricted(client, '~good:*', '~odd:*', '+@all')
  await client.set('odd:jobs', 'text')
  const { sleep, wakers, wakes } = await wakersAt(t, address(redis.port, asObserver))
  for (const key of ['closed', 'good', 'odd']) sleep(key)
  await eventually(() => assert.equal(wakers.refusal('closed')?.code, 'RedisPermissionDenied'), slow)
  assert.match(wakers.refusal('odd')?.message ?? '', /WRONGTYPE/)
  assert.equal(wakers.refusal('good'), undefined)
  await client.xadd('good:jobs', '*', 'a', 'b')
  await wakes('good')
})

test('a user who may not unblock a read: pipelines that fall asleep later are soon waited for', async (t) => {
  const redis = await startRedis(t)
  const client = redis.client()
  await restricted(client, '~*', '+@all', '-client|unblock', '-client|id')
  const { sleep, wakes } = await wakersAt(t, address(redis.port, asObserver))
  sleep('first')
  await reads(client, 1)
  const tookMs = await shortest(2_000, async (nth) => {
    sleep(`later-${nth}`)
    await client.xadd(`later-${nth}:jobs`, '*', 'a', 'b')
    const startedMs = performance.now()
    await wakes(`later-${nth}`)
    return performance.now() - startedMs
  })
  assert.ok(tookMs < 2_000, `took ${tookMs} ms`)
})

test('through Sentinel: after a failover the new master is read', async (t) => {
  const setup = await startSentinels(t)
  const nodes = setup.addresses.map((each) => ({ host: '127.0.0.1', port: Number(each.split(':')[1]) }))
  const place: RedisAddress = { kind: 'Sentinel', master: masterName, nodes, database: 0, label: 'sentinels' }
  const { sleep, wakes } = await wakersAt(t, place)
  sleep('p')
  await reads(setup.primary.client(), 1)
  await setup.primary.kill()
  await setup.promoted()
  const promoted = setup.replica.client()
  await eventually(async () => assert.equal(await blocked(promoted), 1), { timeoutMs: 60_000 })
  await promoted.xadd('p:jobs', '*', 'a', 'b')
  await wakes('p')
})

test('in a cluster one connection per slot, at the node that has it', async (t) => {
  const cluster = await startCluster(t)
  const nodes = cluster.addresses.map((each) => ({ host: '127.0.0.1', port: Number(each.split(':')[1]) }))
  const { sleep, wakes } = await wakersAt(t, { kind: 'Cluster', nodes, label: 'cluster' })
  const keys = ['{farm}:a', '{farm}:b', 'p', 'q', 'r', 's']
  for (const key of keys) sleep(key)
  const client: Cluster = cluster.client()
  const counts = async (count: (redis: Redis) => Promise<number>) =>
    (await Promise.all(client.nodes('master').map(count))).reduce((sum, each) => sum + each, 0)
  await eventually(async () => assert.equal(await counts(blocked), 5), slow)
  assert.equal(await counts(wakerClients), 5)
  for (const key of keys) await client.xadd(`${key}:jobs`, '*', 'a', 'b')
  await wakes(...keys)
})
