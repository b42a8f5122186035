/** A full dead-letter stream loses no entry, pushes no record out, and stops no other entry. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openPipeline } from '../../consumer/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

for (const path of ['Atomic', 'Portable'] as const) {
  test(`${path}: what finds no room stays pending, uncounted, the others go on; with room it is recorded for its own reason`, async (t) => {
    const name = `full-${path.toLowerCase()}`
    const { redis, add, start, place, pending, dead, waiting } = openPipeline(t, server, {
      source: { stream: `{${name}}:jobs` },
      sink: { queue: name },
      payload: { maxFields: 1 },
      deadLetter: { maxEntries: 5 },
      delivery: { maxDeliveries: 2 },
      reclaim: { minIdle: '60s', interval: '1s' },
    })
    const env: Record<string, string> = path === 'Portable' ? { NODE_OPTIONS: '--import ./test/paths/altered.ts' } : {}
    const consumer = await start('pod-0', { env })
    const bad: string[] = []
    for (let i = 0; i < 8; i++) {
      bad.push(String(await redis.xadd(place.stream, '*', 'job_id', `bad-${i}`, 'second', 'field')))
      await add(5, i * 5)
    }
    await eventually(async () => (await waiting()) === 40 && (await pending()).length === 3, { timeoutMs: 60_000 })
    const first = (await dead()).map(({ originalId }) => originalId)
    assert.equal(first.length, 5)
    await consumer.logged('the dead-letter stream is full; entries stay pending')
    await sleep(10_000)
    assert.deepEqual([...new Set((await pending()).map(({ deliveries }) => deliveries))], [1], 'tried again, and not counted')
    assert.deepEqual(
      (await dead()).map(({ originalId }) => originalId),
      first,
      'nothing is pushed out',
    )
    assert.equal((await consumer.get('/readyz')).status, 200)
    await add(10, 40)
    await eventually(async () => (await waiting()) === 50, { timeoutMs: 60_000 })
    await redis.xtrim(place.deadLetters, 'MAXLEN', 1)
    await eventually(async () => (await pending()).length === 0, { timeoutMs: 60_000 })
    const letters = await dead()
    assert.deepEqual(
      letters.map(({ originalId }) => originalId).toSorted(),
      [...bad.filter((id) => !first.includes(id)), first.at(-1)].toSorted(),
    )
    for (const { reason, deliveries } of letters) assert.deepEqual([reason, deliveries], ['TooManyFields', 1])
    assert.equal((await consumer.stop()).code, 0)
  })
}

test('many more withheld entries than are looked at together keep their count, and get their own reason', async (t) => {
  const room = 1_000
  const { redis, start, place, pipeline, pending, dead, heartbeat } = openPipeline(t, server, {
    source: { stream: '{many}:jobs' },
    sink: { queue: 'many' },
    payload: { maxFields: 1 },
    deadLetter: { maxEntries: room },
    delivery: { maxDeliveries: 2 },
    // Some seconds longer than withheld entries wait for their next try.
    reclaim: { minIdle: '8s', interval: '1s' },
  })
  await redis.eval(`for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'reason', 'Trimmed') end`, 1, place.deadLetters, room)
  await start('pod-0')
  const batch = redis.pipeline()
  for (let i = 0; i < 600; i++) batch.xadd(place.stream, '*', 'job_id', String(i), 'second', 'field')
  await batch.exec()
  await eventually(async () => (await pending()).length === 600)
  const beat = async () => (await heartbeat('pod-0'))?.at ?? 0
  const first = await beat()
  const { minIdleMs, intervalMs } = pipeline.reclaim
  await eventually(async () => (await beat()) > first + minIdleMs + 2 * intervalMs)
  const counts = [...new Set((await pending()).map(({ deliveries }) => deliveries))]
  await redis.del(place.deadLetters)
  await eventually(async () => (await pending()).length === 0)
  const reasons = [...new Set((await dead()).map(({ reason }) => reason))]
  assert.deepEqual({ counts, reasons }, { counts: [1], reasons: ['TooManyFields'] })
})
