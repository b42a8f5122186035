/** How long the stream of a consumer at work gets: docs/guarantees.md bounds it in seconds. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileScope } from '../redis/scope.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { openPipeline } from './fixture.ts'

/** Up to so many settled entries stay where they share a node with one that is needed. */
const remnant = 128

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

/** Adds some hundred entries and looks, again and again, until `enough`. */
async function load({ add }: ReturnType<typeof openPipeline>, enough: () => Promise<boolean>) {
  for (let added = 0; !(await enough()); added += 200) {
    await add(200, added)
    await sleep(50)
  }
}

test('under load the stream holds what was added within settledFor, a second more but for one node', async (t) => {
  const fixture = openPipeline(t, server, {
    source: { stream: '{window}:jobs', retention: { settledFor: '2s' } },
    sink: { queue: 'window', maxWaiting: 10_000_000 },
  })
  const consumer = await fixture.start('pod-0')
  const { redis, place } = fixture
  // After a rest the first round may come ten seconds late.
  await load(fixture, async () => (await consumer.metric('stream_consumer_trimmed_total')) > 0)
  // Rounds are jittered, and this machine may be busy: another second.
  const allowedMs = 2_000 + 1_000 + 1_000
  const end = Date.now() + 6_000
  let over = 0
  await load(fixture, async () => {
    over = Math.max(over, (await redis.xrange(place.stream, '-', `${Date.now() - allowedMs}`)).length)
    return Date.now() > end
  })
  assert.ok(over <= remnant, `${over} entries are older than settledFor and two seconds`)
})

test('maxEntries bounds the stream within two seconds, also where nothing is settled', async (t) => {
  const fixture = openPipeline(t, server, {
    source: { stream: '{bound}:jobs', retention: { settledFor: '1h', maxEntries: 1_000 } },
    sink: { queue: 'bound', maxWaiting: 10 },
  })
  await fixture.start('pod-0')
  const { redis, place } = fixture
  for (let round = 0; round < 3; round++) {
    await load(fixture, async () => (await redis.xlen(place.stream)) > 1_000 + 2 * remnant)
    await sleep(2_000)
    const left = await redis.xlen(place.stream)
    assert.ok(left <= 1_000 + remnant, `${left} entries two seconds after the last was added, round ${round}`)
  }
})
