import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import { assertOnce, openPipeline, withTraps } from '../../consumer/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

let streams = 0
const own = (t: TestContext, changes: Parameters<typeof openPipeline>[2] = {}) => {
  const name = `r${++streams}`
  const { source, sink, ...rest } = changes
  return openPipeline(t, server, { source: { stream: `{${name}}:jobs`, ...source }, sink: { queue: name, ...sink }, ...rest })
}

test('entries of a dead peer are taken over after minIdle, its trimmed ones recorded, the exhausted never fetched', async (t) => {
  const { add, makeGroup, read, deliver, start, dead, pending, jobs, redis, place, waiting } = own(t)
  await makeGroup()
  const ids = await add(20)
  await read('dead-pod', 20)
  const [trimmed = '', exhausted = ''] = ids
  await redis.xdel(place.stream, trimmed)
  await deliver('dead-pod', [exhausted], 5, 60_000)
  await deliver('dead-pod', ids.slice(2, 5), 3, 60_000)
  const consumer = await start('pod-1')
  await eventually(async () => (await pending()).length === 0, { timeoutMs: 60_000 })
  assert.equal(await waiting(), 18)
  assert.deepEqual(new Set(await jobs()), new Set(Array.from({ length: 18 }, (_, i) => String(i + 2))))
  const found = new Map((await dead()).map((letter) => [letter.originalId, letter]))
  assert.equal(found.size, 2)
  assert.deepEqual([found.get(trimmed)?.reason, found.get(trimmed)?.payload.length], ['Trimmed', 0])
  const letter = found.get(exhausted)
  assert.deepEqual([letter?.reason, letter?.consumer, letter?.deliveries], ['MaxDeliveries', 'dead-pod', 5])
  assert.deepEqual(letter?.payload.map(String), ['job_id', '1'])
  assert.equal(await consumer.metric('stream_consumer_reclaimed_total'), 18)
  assert.equal(await consumer.metric('stream_consumer_dead_letters_total{reason="MaxDeliveries"'), 1)
})

test('entries of a peer that lives are left alone', async (t) => {
  // Longer than a busy machine keeps the peer from renewing.
  const reclaim = { minIdle: '5s', interval: '1s' }
  const { add, makeGroup, read, deliver, start, redis, place, pipeline, pending, waiting } = own(t, { reclaim })
  await makeGroup()
  const ids = await add(3)
  await read('slow-pod', 3)
  const renew = setInterval(() => void deliver('slow-pod', ids, 1, 0), 100)
  t.after(() => clearInterval(renew))
  const consumer = await start('pod-1')
  await add(1, 3)
  const beats = async () => JSON.parse((await redis.get(place.keys.consumer('pod-1'))) ?? '{}') as { at?: number }
  const first = (await beats()).at ?? 0
  const { minIdleMs, intervalMs } = pipeline.reclaim
  await eventually(async () => ((await beats()).at ?? 0) > first + minIdleMs + 2 * intervalMs, { timeoutMs: 60_000 })
  assert.equal(await waiting(), 1)
  assert.deepEqual(
    (await pending()).map(({ consumer: holder, deliveries }) => [holder, deliveries]),
    ids.map(() => ['slow-pod', 1]),
  )
  assert.equal(await consumer.metric('stream_consumer_reclaimed_total'), 0)
})

test('a hundred innocents beside one that kills its process: none is dead-lettered, the one is', async (t) => {
  const { add, makeGroup, read, deliver, start, pending, dead, jobs } = own(t, { source: { batchSize: 100 } })
  await makeGroup()
  const ids = await add(101)
  const killer = ids[50] ?? ''
  // A consumer that dies at the killer: it claims, in the order that the product does, and settles nothing.
  await read('doomed', 101)
  for (let life = 2; life <= 5; life++) await deliver('doomed', [killer], life, 60_000)
  await deliver(
    'doomed',
    ids.filter((id) => id !== killer),
    2,
    60_000,
  )
  await start('pod-1')
  await eventually(async () => (await pending()).length === 0, { timeoutMs: 60_000 })
  assert.deepEqual(
    (await dead()).map(({ originalId, reason }) => [originalId, reason]),
    [[killer, 'MaxDeliveries']],
  )
  assertOnce(await jobs().then((found) => [...found, '50']), 101)
})

test('of two deliveries the second is alone: an entry that kills its process takes no neighbour along', async (t) => {
  const { redis, makeGroup, read, start, pending, dead, jobs, waiting, place } = own(t, { delivery: { maxDeliveries: 2 } })
  await makeGroup()
  const batch = redis.pipeline()
  for (let i = 0; i < 100; i++) batch.xadd(place.stream, '*', 'job_id', i === 50 ? 'deadly' : String(i))
  await batch.exec()
  // The first life ended in the middle of this batch.
  const ids = await read('pod-0', 100)
  const isDone = async () => (await waiting()) + (await dead()).length === 100
  for (let life = 2; life < 10 && !(await isDone()); life++) {
    const consumer = await start('pod-0', { ready: false, env: withTraps })
    await eventually(async () => !consumer.running() || (await isDone()), { timeoutMs: 30_000 })
    await consumer.stop('SIGKILL')
  }
  const letters = await dead()
  assert.deepEqual([letters.length, letters[0]?.originalId, letters[0]?.reason], [1, ids[50], 'MaxDeliveries'])
  assertOnce(await jobs().then((found) => [...found, '50']), 100)
  assert.deepEqual(await pending(), [])
})

test('SIGTERM: what is held is finished, the name retired, exit 0', async (t) => {
  const { add, start, jobs, waiting, names, pending, redis, place } = own(t, { source: { batchSize: 10 } })
  const consumer = await start('pod-0')
  await add(2_000)
  await eventually(async () => (await waiting()) > 100)
  const { code } = await consumer.stop()
  assert.equal(code, 0)
  assert.deepEqual(await names(), [])
  assert.equal((await pending()).length, 0)
  assert.equal(await redis.exists(place.keys.consumers, place.keys.consumer('pod-0')), 0)
  assert.equal(consumer.log().at(-1)?.msg, 'stopped')
  const done = await jobs()
  assert.equal(new Set(done).size, done.length)
  await start('pod-1')
  await eventually(async () => (await waiting()) === 2_000, { timeoutMs: 60_000 })
  assertOnce(await jobs(), 2_000)
})

test('SIGTERM with entries that cannot be settled: handed back, claimable at once, count not raised', async (t) => {
  const { add, start, pending, redis, place, names } = own(t, { reclaim: { minIdle: '1h' }, idempotency: { window: '24h' } })
  const consumer = await start('pod-0')
  await redis.set(place.deadLetters, 'text')
  const ids = [String(await redis.xadd(place.stream, '*', 'a', '1', 'a', '2'))]
  await consumer.logged(/holds a value of another type/)
  const { code } = await consumer.stop()
  assert.equal(code, 0)
  const rows = await pending()
  assert.deepEqual(
    rows.map(({ id, deliveries }) => [id, deliveries]),
    ids.map((id) => [id, 0]),
  )
  assert.ok((rows[0]?.idleMs ?? 0) >= 3_600_000)
  assert.deepEqual(await names(), ['pod-0'], 'a name that holds something stays')
  await redis.del(place.deadLetters)
  await add(1)
  await start('pod-1')
  await eventually(async () => (await pending()).length === 0, { timeoutMs: 60_000 })
})

test('SIGKILL and a restart under the same name: its own pending entries at once, whatever minIdle', async (t) => {
  const { add, start, makeGroup, read, pending, jobs, waiting } = own(t, {
    reclaim: { minIdle: '1h', interval: '30s' },
    idempotency: { window: '24h' },
  })
  await makeGroup()
  await add(700)
  await read('pod-0', 600)
  await start('pod-0')
  await eventually(async () => (await waiting()) === 700 && (await pending()).length === 0, { timeoutMs: 60_000 })
  assertOnce(await jobs(), 700)
})

test('killed again and again in the middle of work: each entry once, none dead-lettered', async (t) => {
  const { add, start, jobs, waiting, pending, dead } = own(t, { source: { batchSize: 50 } })
  await add(3_000)
  for (let life = 0; life < 3; life++) {
    const before = await waiting()
    const consumer = await start('pod-0')
    await eventually(async () => (await waiting()) >= Math.min(3_000, before + 200), { intervalMs: 1 })
    await consumer.stop('SIGKILL')
  }
  await start('pod-0')
  await eventually(async () => (await pending()).length === 0 && (await waiting()) === 3_000, { timeoutMs: 60_000 })
  assertOnce(await jobs(), 3_000)
  assert.deepEqual(await dead(), [])
})

test('two consumers share the work, and one’s hand-over wakes the other', async (t) => {
  const { add, start, jobs, waiting, names } = own(t)
  const [one] = await Promise.all([start('pod-0'), start('pod-1')])
  await add(1_000)
  await eventually(async () => (await waiting()) === 1_000)
  // A consumer is in the group from its first read on. One of the two may take everything before the other reads.
  await eventually(async () => assert.deepEqual(await names(), ['pod-0', 'pod-1']))
  await one.stop()
  await add(500, 1_000)
  await eventually(async () => (await waiting()) === 1_500)
  assertOnce(await jobs(), 1_500)
  assert.deepEqual(await names(), ['pod-1'])
})

test('large entries left by a dead peer, or by its own life before, are taken up in batches of batchBytes', async (t) => {
  const { redis, start, place, pending, waiting, makeGroup, read } = openPipeline(t, server, {
    source: { stream: '{large}:jobs', batchBytes: '64Ki' },
    sink: { queue: 'large' },
    payload: { maxBytes: '32Ki' },
  })
  await makeGroup()
  for (let i = 0; i < 80; i++) await redis.xadd(place.stream, '*', 'job_id', String(i).padEnd(10_000, 'x'))
  await read('pod-0', 40)
  await read('dead-peer', 40)
  const consumer = await start('pod-0')
  await eventually(async () => (await waiting()) === 80 && (await pending()).length === 0, { timeoutMs: 60_000 })
  const sizes = () => consumer.log().flatMap(({ msg, entries }) => (msg === 'batch settled' ? [Number(entries)] : []))
  await eventually(() => sizes().reduce((sum, size) => sum + size, 0) === 80)
  assert.ok(Math.max(...sizes()) <= 6, `batches of ${sizes().join(', ')}`)
})
