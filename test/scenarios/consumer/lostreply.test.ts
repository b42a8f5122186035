/**
 * A lost reply: Redis has executed XREADGROUP, and the connection breaks before the reply has arrived. The entries are pending
 * under the consumer's name, and it does not hold them. With `minIdle` at ten minutes no other consumer takes them either.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCuttingProxy } from '../../consumer/cutreply.ts'
import { assertOnce, openPipeline } from '../../consumer/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const soon = { timeoutMs: 60_000 }

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

const reclaim = { minIdle: '600s', interval: '1s' }
const idempotency = { lockTTL: '1s' }

for (const remnant of ['nothing', 'half'] as const) {
  test(`an idle consumer, ${remnant} of the reply arrives: forwarded soon, once, without a restart, no delivery counted`, async (t) => {
    const proxy = await startCuttingProxy(t, server.port)
    const { add, start, place, redis, pending, jobs, waiting, dead } = openPipeline(t, server, {
      source: { stream: `{lost-${remnant}}:jobs` },
      sink: { queue: `lost-${remnant}` },
      redis: { url: `redis://127.0.0.1:${proxy.port}` },
      reclaim,
      idempotency,
    })
    const consumer = await start('pod-0')
    const cut = proxy.cutNextRead(remnant)
    await add(30)
    assert.ok((await cut).length > 0, 'entries pending that nobody holds')
    // Some seconds later the consumer takes them up again, so a test that is held up finds none pending.
    for (const row of await pending()) assert.deepEqual([row.consumer, row.deliveries], ['pod-0', 1])
    // The loss does not stop the flow.
    await add(20, 30)
    await eventually(async () => (await waiting()) === 50 && (await pending()).length === 0, soon)
    assertOnce(await jobs(), 50)
    assert.deepEqual(await dead(), [])
    assert.equal(await redis.hget(place.keys.stats, 'settled'), '50')
    assert.equal(await consumer.metric('stream_consumer_reclaimed_total'), 0, 'never attempted before: no delivery is counted')
    assert.ok(consumer.running())
    assert.equal((await consumer.stop()).code, 0)
  })
}

test('a busy consumer, one entry’s reply lost now and again: each is forwarded soon, once', async (t) => {
  const proxy = await startCuttingProxy(t, server.port)
  const { add, start, pending, jobs, waiting, dead } = openPipeline(t, server, {
    source: { stream: '{lost-busy}:jobs', batchSize: 20, inFlightBatches: 4 },
    sink: { queue: 'lost-busy', maxWaiting: 1_000_000 },
    redis: { url: `redis://127.0.0.1:${proxy.port}` },
    reclaim,
    idempotency,
  })
  const consumer = await start('pod-0')
  let added = 0
  let busy = true
  const load = (async () => {
    while (busy) {
      await add(15, added)
      added += 15
      await sleep(10)
    }
  })()
  try {
    for (let round = 0; round < 3; round++) {
      const ids = new Set(await proxy.cutNextRead('nothing'))
      assert.ok(ids.size > 0, 'entries pending that nobody holds')
      await eventually(async () => !(await pending()).some(({ id }) => ids.has(id)), soon)
    }
  } finally {
    busy = false
    await load
  }
  await eventually(async () => (await waiting()) === added && (await pending()).length === 0, soon)
  assertOnce(await jobs(), added)
  assert.deepEqual(await dead(), [])
  assert.equal(await consumer.metric('stream_consumer_reclaimed_total'), 0)
  assert.equal((await consumer.stop()).code, 0)
})
