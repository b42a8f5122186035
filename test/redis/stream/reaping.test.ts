import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, beforeEach, test } from 'node:test'
import type { Redis } from 'ioredis'
import { type DeadLetter, decodeDeadLetter } from '../../../redis/record.ts'
import { claimEntries, listPending } from '../../../redis/stream/pending.ts'
import { type Deceased, reapConsumer } from '../../../redis/stream/reaping.ts'
import { sendHeartbeat } from '../../../redis/stream/registry.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import { startRedis } from '../../support/redis.ts'
import { placeNamed } from '../resource.ts'
import { fileScope } from '../scope.ts'

/** `REPLACEMENTS=10000` for the full number. */
const replacements = Number(process.env['REPLACEMENTS'] ?? 300)
const minIdleMs = 60_000
const place = placeNamed('{t}:jobs')
const { stream, group, keys } = place
let redis: Redis

const scope = fileScope()
before(async () => {
  redis = (await startRedis(scope)).client()
})
beforeEach(async () => {
  await redis.flushall()
  await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
})

const add = async (count: number) => {
  const pipeline = redis.pipeline()
  for (let i = 0; i < count; i++) pipeline.xadd(stream, '*', 'job_id', String(i))
  const replies = (await pipeline.exec()) ?? []
  return replies.map(([, id]) => String(id))
}
const read = async (consumer: string, count: number) => {
  const reply = await redis.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
  return ((reply as [string, [string, string[]][]][] | null)?.[0]?.[1] ?? []).map(([id]) => id)
}
const beat = async (consumer: string, uid: string) =>
  await sendHeartbeat(redis, place, consumer, {
    uid,
    state: 'Running',
    inFlight: 1,
    serviceMs: 1,
    path: 'Atomic',
    forwarded: 0,
    duplicates: 0,
    dead: 0,
    reclaimed: 0,
  })
const reap = async (name: string, uid: string, more: Partial<Deceased> = {}) =>
  await reapConsumer(redis, place, { name, uid, minIdleMs, requireExpiredHeartbeat: false, ...more })
const claimable = async () => await listPending(redis, place, { start: '-', count: 10_000, minIdleMs })
const pendingOf = async (consumer: string) => await listPending(redis, place, { start: '-', count: 10_000, consumer })
const namesInGroup = async () =>
  ((await redis.xinfo('CONSUMERS', stream, group)) as unknown[][]).map((row) => String(row[1])).toSorted()
const registered = async () => Object.keys(await redis.hgetall(keys.consumers)).toSorted()
const nudges = async () => Number((await redis.get(keys.nudge)) ?? 0)
const dead = async (): Promise<DeadLetter[]> =>
  (await redis.xrangeBuffer(place.deadLetters, '-', '+')).map(([id, fields]) => decodeDeadLetter(String(id), fields))

test('what a vanished consumer holds is claimable at once, under its name, its count not raised, and the living are nudged', async () => {
  const ids = await add(3)
  await beat('gone', 'p/1')
  await beat('alive', 'p/2')
  await read('gone', 2)
  await read('alive', 1)
  assert.deepEqual(await reap('gone', 'p/1'), { kind: 'Released', entries: 2, trimmed: 0, pending: 2, oldestId: ids[0] })
  const rows = await claimable()
  assert.deepEqual(
    rows.map(({ id, consumer, deliveries }) => [id, consumer, deliveries]),
    ids.slice(0, 2).map((id) => [id, 'gone', 1]),
  )
  assert.equal(await nudges(), 1)
  assert.equal((await beat('alive', 'p/2')).nudge, '1')
})

test('a second look changes nothing and nudges no consumer; when the others have claimed everything the name goes', async () => {
  const [first = '', second = ''] = await add(2)
  await beat('gone', 'p/1')
  await beat('alive', 'p/2')
  await read('gone', 2)
  await reap('gone', 'p/1')
  assert.deepEqual(await reap('gone', 'p/1'), { kind: 'Released', entries: 0, trimmed: 0, pending: 2, oldestId: first })
  assert.equal(await nudges(), 1)
  assert.equal((await claimEntries(redis, place, 'alive', minIdleMs, [first])).claimed.length, 1)
  assert.deepEqual(await reap('gone', 'p/1'), { kind: 'Released', entries: 0, trimmed: 0, pending: 1, oldestId: second })
  assert.equal((await claimEntries(redis, place, 'alive', minIdleMs, [second])).claimed.length, 1)
  assert.deepEqual(await reap('gone', 'p/1'), { kind: 'Gone', entries: 0, trimmed: 0 })
  assert.deepEqual([await namesInGroup(), await registered()], [['alive'], ['alive']])
  assert.equal(await redis.exists(keys.consumer('gone')), 0)
  assert.equal((await pendingOf('alive')).length, 2)
})

test('a foreign consumer is left alone: not registered, or registered by another owner, or in an unknown form', async () => {
  await add(6)
  await read('stranger', 2)
  await beat('neighbour', 'other/1')
  await read('neighbour', 2)
  await redis.hset(keys.consumers, 'old', 'no-owner')
  await read('old', 2)
  const before = await listPending(redis, place, { start: '-', count: 10 })
  for (const name of ['stranger', 'neighbour', 'old']) assert.deepEqual(await reap(name, 'p/1'), { kind: 'Foreign' }, name)
  const after = await listPending(redis, place, { start: '-', count: 10 })
  const facts = (rows: typeof before) => rows.map(({ id, consumer, deliveries }) => [id, consumer, deliveries])
  assert.deepEqual(facts(after), facts(before))
  assert.deepEqual(await claimable(), [])
  assert.deepEqual(await registered(), ['neighbour', 'old'])
  assert.deepEqual(await namesInGroup(), ['neighbour', 'old', 'stranger'])
  assert.equal(await nudges(), 0)
})

test('a name that another life of the same owner bears by now is left alone', async () => {
  await add(1)
  await beat('ndvi-1', 'p/1')
  await read('ndvi-1', 1)
  await beat('ndvi-1', 'p/2')
  assert.deepEqual(await reap('ndvi-1', 'p/1'), { kind: 'Changed' })
  assert.deepEqual(await claimable(), [])
  assert.deepEqual(await registered(), ['ndvi-1'])
})

test('where the pending list is not the lock, a heartbeat that is still there keeps everything as it is', async () => {
  await add(1)
  await beat('gone', 'p/1')
  await read('gone', 1)
  assert.deepEqual(await reap('gone', 'p/1', { requireExpiredHeartbeat: true }), { kind: 'Alive' })
  assert.deepEqual(await claimable(), [])
  await redis.pexpire(keys.consumer('gone'), 0)
  assert.equal((await reap('gone', 'p/1', { requireExpiredHeartbeat: true })).kind, 'Released')
  assert.equal((await claimable()).length, 1)
})

test('more than a page is released whole, and the entries’ own counts stay', async () => {
  const ids = await add(2_500)
  await beat('gone', 'p/1')
  await read('gone', 2_500)
  await redis.call('XCLAIM', stream, group, 'gone', '0', ids[1_700] ?? '', 'RETRYCOUNT', '4', 'JUSTID')
  assert.deepEqual(await reap('gone', 'p/1'), { kind: 'Released', entries: 2_500, trimmed: 0, pending: 2_500, oldestId: ids[0] })
  const rows = await claimable()
  assert.equal(rows.length, 2_500)
  assert.deepEqual(
    rows.filter(({ deliveries }) => deliveries !== 1).map(({ id, deliveries }) => [id, deliveries]),
    [[ids[1_700], 4]],
  )
  assert.ok((await nudges()) > 0)
})

test('trimmed entries become dead letters, counted; if nothing else is held, the name goes at once', async () => {
  const ids = await add(4)
  await beat('gone', 'p/1')
  await read('gone', 4)
  await redis.xdel(stream, ids[0] ?? '', ids[2] ?? '')
  assert.deepEqual(await reap('gone', 'p/1'), { kind: 'Released', entries: 2, trimmed: 2, pending: 2, oldestId: ids[1] })
  assert.deepEqual(
    (await dead()).map(({ reason, originalId, consumer }) => [reason, originalId, consumer]),
    [
      ['Trimmed', ids[0], 'gone'],
      ['Trimmed', ids[2], 'gone'],
    ],
  )
  assert.equal(await redis.hget(keys.stats, 'trimmedPending'), '2')
  await redis.xdel(stream, ids[1] ?? '', ids[3] ?? '')
  assert.deepEqual(await reap('gone', 'p/1'), { kind: 'Gone', entries: 0, trimmed: 2 })
  assert.deepEqual([await namesInGroup(), await registered()], [[], []])
  assert.equal((await dead()).length, 4)
})

test('a trimmed entry whose record cannot be written stays pending, and it is said why', async () => {
  const [id = ''] = await add(2)
  await beat('gone', 'p/1')
  await read('gone', 2)
  await redis.xdel(stream, id)
  await redis.set(place.deadLetters, 'not a stream')
  const reaping = await reap('gone', 'p/1')
  assert.equal(reaping.kind, 'Released')
  assert.ok(reaping.kind === 'Released')
  assert.deepEqual([reaping.entries, reaping.trimmed, reaping.pending, reaping.refusal?.code], [1, 0, 2, 'WrongKeyType'])
  assert.equal((await pendingOf('gone')).length, 2)
})

test('without a group nothing is held: only the name goes', async () => {
  await beat('gone', 'p/1')
  await redis.del(stream)
  assert.deepEqual(await reap('gone', 'p/1'), { kind: 'Gone', entries: 0, trimmed: 0 })
  assert.deepEqual(await registered(), [])
  assert.equal(await redis.exists(stream), 0)
})

test('a zombie loses every race and makes its name again, which is then reaped again', async () => {
  const [id = ''] = await add(2)
  await beat('zombie', 'p/1')
  await beat('alive', 'p/2')
  await read('zombie', 1)
  await reap('zombie', 'p/1')
  await claimEntries(redis, place, 'alive', minIdleMs, [id])
  assert.equal((await settleEntries(redis, place, [id], [])).acknowledged, 1)
  // The zombie settles its entries: by the pending list they are gone.
  assert.equal((await settleEntries(redis, place, [id], [])).acknowledged, 0)
  assert.equal((await reap('zombie', 'p/1')).kind, 'Gone')

  assert.equal((await read('zombie', 1)).length, 1)
  // Not registered, so of unknown owner, until its next heartbeat registers it.
  assert.deepEqual(await reap('zombie', 'p/1'), { kind: 'Foreign' })
  await beat('zombie', 'p/1')
  const again = await reap('zombie', 'p/1')
  assert.deepEqual([again.kind, (await claimable()).length], ['Released', 1])
})

test(`${replacements} replacements, each with entries in its hands, leave no name behind and lose nothing`, async () => {
  await beat('alive', 'p/alive')
  for (let i = 0; i < replacements; i++) {
    const [name, uid] = [`consumer-${i}`, `p/${i}`]
    if (i % 500 === 0) await beat('alive', 'p/alive')
    await add(2)
    await beat(name, uid)
    await read(name, 2)
    assert.equal((await reap(name, uid)).kind, 'Released')
    const ids = (await claimable()).map((row) => row.id)
    const { claimed } = await claimEntries(redis, place, 'alive', minIdleMs, ids)
    await settleEntries(
      redis,
      place,
      claimed.map((entry) => entry.id),
      [],
    )
    assert.equal((await reap(name, uid)).kind, 'Gone')
  }
  assert.deepEqual([await namesInGroup(), await registered()], [['alive'], ['alive']])
  assert.deepEqual(await redis.keys(`${keys.prefix}consumer:*`), [keys.consumer('alive')])
  assert.equal(await redis.hget(keys.stats, 'settled'), String(2 * replacements))
})
