/** A batch that Redis accepts in part only: each entry is counted once, by its outcome. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

test('a dead letter that cannot be written: the rest of its batch counts as forwarded, once, and nothing as gone', async (t) => {
  const server = await startRedis(t)
  const { redis, start, place, pending, dead, heartbeat } = openPipeline(t, server, {
    source: { stream: '{partly}:jobs' },
    payload: { maxFields: 1 },
    reclaim: { minIdle: '60s' },
  })
  const consumer = await start('pod-0')
  // One entry refused among ninety-nine, added in one step so that they are read together.
  const all = redis.multi().set(place.deadLetters, 'text')
  for (let i = 0; i < 100; i++) all.xadd(place.stream, '*', 'job_id', String(i), ...(i === 50 ? ['second', 'field'] : []))
  await all.exec()
  await consumer.logged(/holds a value of another type/)
  await eventually(async () => (await pending()).length < 100)
  await eventually(async () => assert.match((await consumer.get('/readyz')).body, /^BackendDown: /))
  await redis.del(place.deadLetters)
  await eventually(async () => (await pending()).length === 0 && (await dead()).length === 1, { timeoutMs: 30_000 })
  await eventually(async () => (await consumer.metric('stream_consumer_settled_total{outcome="dead"')) === 1)
  await eventually(async () => (await consumer.metric('stream_consumer_settled_total{outcome="forwarded"')) === 99)
  assert.equal(await consumer.metric('stream_consumer_settled_total{outcome="gone"'), 0)
  assert.equal(await consumer.metric('stream_consumer_settled_total{outcome="duplicate"'), 0)
  await eventually(async () => (await heartbeat('pod-0'))?.forwarded === 99)
  assert.equal((await consumer.stop()).code, 0)
})
