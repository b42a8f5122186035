/** Whatever finds an entry trimmed counts it, once, also where Redis refuses the rest of the work. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, beforeEach, test } from 'node:test'
import type { Command, Redis } from 'ioredis'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { claimEntries, handBackEntries, listPending } from '../../../redis/stream/pending.ts'
import { reapConsumer } from '../../../redis/stream/reaping.ts'
import { type DeadLetterOrder, settleEntries } from '../../../redis/stream/settlement.ts'
import { placeNamed } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { openRights, type Rights } from '../../support/rights.ts'

const place = placeNamed('{count}:jobs')
const { stream, group, keys } = place
let server: RedisServer
let redis: Redis
let rights: Rights

const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
  redis = server.client()
  rights = await openRights(server)
})
beforeEach(async () => {
  await redis.flushall()
  await ensureGroup(redis, keys, { stream, group, startFrom: 'Beginning' })
})

/** The first of so many entries under a name is gone. */
async function hold(count: number) {
  const ids: string[] = []
  for (let i = 0; i < count; i++) ids.push(String(await redis.xadd(stream, '*', 'n', String(i))))
  await redis.xreadgroup('GROUP', group, 'me', 'COUNT', count, 'STREAMS', stream, '>')
  await redis.xdel(stream, ids[0] ?? '')
  return ids
}
const written = async () => await redis.xlen(place.deadLetters)

test('a claim that is refused after it has found a trimmed entry counts that entry', async () => {
  const ids = await hold(3)
  const claim = await rights.without(['xclaim'], async () => await claimEntries(redis, place, 'you', 0, ids))
  assert.deepEqual([claim.trimmed, claim.claimed, claim.refusal?.code], [1, [], 'RedisPermissionDenied'])
  assert.equal(await written(), 1)
  const again = await claimEntries(redis, place, 'you', 0, ids)
  assert.deepEqual([again.trimmed, again.claimed.length, again.refusal], [0, 2, undefined])
})

test('a hand-back counts what it dead-letters, on its own and where it is refused', async () => {
  await hold(3)
  let counted = 0
  const count = (more: number) => {
    counted += more
  }
  await rights.without(['xclaim'], async () => {
    await assert.rejects(handBackEntries(redis, place, 'me', 60_000, count), { code: 'RedisPermissionDenied' })
  })
  assert.deepEqual([counted, await written()], [1, 1])
  assert.equal(await handBackEntries(redis, place, 'me', 60_000, count), 2)
  assert.deepEqual([counted, await written()], [1, 1])
})

test('a reaping that is refused after it has found a trimmed entry counts that entry', async () => {
  await hold(3)
  await redis.hset(keys.consumers, 'me', 'p/1')
  const dead = { name: 'me', uid: 'p/1', minIdleMs: 60_000, requireExpiredHeartbeat: false }
  const reaping = await rights.without(['xclaim'], async () => await reapConsumer(redis, place, dead))
  assert.ok(reaping.kind === 'Released')
  assert.deepEqual([reaping.trimmed, reaping.entries, reaping.refusal?.code], [1, 0, 'RedisPermissionDenied'])
  const again = await reapConsumer(redis, place, dead)
  assert.ok(again.kind === 'Released')
  assert.deepEqual([again.trimmed, again.entries, again.refusal], [0, 2, undefined])
})

test('records of several calls are counted although a later call is refused', async () => {
  const body = 'x'.repeat(700_000)
  for (let i = 0; i < 4; i++) await redis.xadd(stream, '*', 'n', body)
  await redis.xreadgroup('GROUP', group, 'me', 'COUNT', 10, 'STREAMS', stream, '>')
  const ids = (await listPending(redis, place, { start: '-', count: 10 })).map(({ id }) => id)
  const deadLetters: DeadLetterOrder[] = ids.map((id) => ({ id, reason: 'InvalidPayload', error: 'why', redrives: 0 }))
  // The second call meets a ledger of another type.
  const calls: string[] = []
  const turning = server.client()
  const spoilt = new Proxy(turning, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name)
      if (typeof found !== 'function') return found
      return async (...args: unknown[]) => {
        if (name === 'sendCommand' && (args[0] as Command).name === 'evalsha') {
          calls.push(String(name))
          if (calls.length === 2) await redis.set(keys.stats, 'text')
        }
        return await (found as (...args: unknown[]) => unknown).apply(target, args)
      }
    },
  })
  const first = await settleEntries(spoilt, place, [], deadLetters)
  assert.deepEqual(first.deadLetters, ['dead', 'dead', 'refused', 'refused'])
  assert.equal(first.refusal?.code, 'RedisCommandFailed')
  await redis.del(keys.stats)
  const again = await settleEntries(redis, place, [], deadLetters)
  assert.deepEqual(again.deadLetters, ['gone', 'gone', 'dead', 'dead'])
})
