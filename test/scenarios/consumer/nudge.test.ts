import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createNudges } from '../../../consumer/nudges.ts'
import { reapConsumer } from '../../../redis/stream/reaping.ts'
import { openPipeline } from '../../consumer/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { shortest } from '../../support/shortest.ts'
import { eventually } from '../../support/wait.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

const never = new AbortController().signal

test('the first value of the counter is no nudge; a later, different value is one, and ends one wait', async () => {
  const nudges = createNudges()
  nudges.heard('7')
  assert.equal(await nudges.next(1, never), false)
  nudges.heard('7')
  assert.equal(await nudges.next(1, never), false)
  nudges.heard('9')
  assert.equal(await nudges.next(60_000, never), true)
  assert.equal(await nudges.next(1, never), false)
})

test('a nudge ends the wait, and so does the end of it all', async () => {
  const nudges = createNudges()
  nudges.heard('0')
  const waiting = nudges.next(60_000, never)
  nudges.heard('1')
  assert.equal(await waiting, true)
  const stop = new AbortController()
  const idle = nudges.next(60_000, stop.signal)
  stop.abort()
  assert.equal(await idle, false)
})

const patient = { reclaim: { minIdle: '60s', interval: '1h' }, idempotency: { lockTTL: '1s' } }

test('what is released is in work again within two seconds, though the only slot is blocked by a long read', async (t) => {
  const source = { stream: '{n1}:jobs', block: '30s', inFlightBatches: 1 }
  const { start, makeGroup, redis, place, pipeline, waiting, pending } = openPipeline(t, server, {
    ...patient,
    source,
    sink: { queue: 'n1' },
  })
  await makeGroup()
  await start('alive')
  let total = 0
  const release = async (count: number) => {
    total += count
    // In one step, so that the living one cannot read them first.
    const batch = redis.multi()
    for (let i = 0; i < count; i++) batch.xadd(place.stream, '*', 'job_id', `${total}-${i}`)
    batch.call('XREADGROUP', 'GROUP', place.group, 'gone', 'COUNT', '500', 'STREAMS', place.stream, '>')
    await batch.hset(place.keys.consumers, 'gone', 'p/1').exec()
    assert.equal((await pending()).length, count)
    const { minIdleMs } = pipeline.reclaim
    const begun = performance.now()
    const reaping = await reapConsumer(redis, place, { name: 'gone', uid: 'p/1', minIdleMs, requireExpiredHeartbeat: true })
    assert.equal(reaping.kind, 'Released')
    await eventually(async () => (await waiting()) === total)
    const tookMs = performance.now() - begun
    t.diagnostic(`${Math.round(tookMs)} ms`)
    await eventually(async () => (await pending()).length === 0)
    return tookMs
  }
  for (const count of [300, 10]) {
    const tookMs = await shortest(2_000, () => release(count))
    assert.ok(tookMs < 2_000, `took ${tookMs} ms`)
  }
})
