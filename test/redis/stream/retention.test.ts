/** Retention never passes an entry that a group still needs. `maxEntries` alone may, and its unread cuts are counted. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { Redis } from 'ioredis'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { auditLedger } from '../../../redis/stream/ledger.ts'
import { lookAtStream } from '../../../redis/stream/look.ts'
import { type Retention, retainEntries } from '../../../redis/stream/retention.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import * as replies from '../../../scaling/replies.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { pipelineWith, placeNamed } from '../resource.ts'
import { fileScope } from '../scope.ts'

let redis: Redis
const scope = fileScope()
before(async () => {
  const server = await startRedis(scope)
  redis = server.client()
  // A node of one entry each: approximate trimming is then exact.
  await redis.config('SET', 'stream-node-max-entries', '1')
})

const hour = 3_600_000

/** Ten entries, an hour apart, the newest now. */
async function lay(name: string) {
  const place = placeNamed(name)
  await ensureGroup(redis, place.keys, pipelineWith({ source: { stream: name } }).source)
  const now = Date.now()
  const ids = Array.from({ length: 10 }, (_, i) => `${now - (9 - i) * hour}-0`)
  for (const id of ids) await redis.xadd(name, id, 'k', 'v')
  const read = async (group: string, count: number) =>
    void (await redis.xreadgroup('GROUP', group, 'c', 'COUNT', count, 'STREAMS', name, '>'))
  const settle = async (from: number, to: number) => void (await settleEntries(redis, place, ids.slice(from, to), []))
  const retain = async (changes: Partial<Retention> = {}) =>
    await retainEntries(redis, place, { settledForMs: 0, ignoredGroups: [], ...changes })
  const left = async () => (await redis.xrange(name, '-', '+')).map(([id]) => ids.indexOf(id))
  return { place, ids, read, settle, retain, left, lost: async () => await auditLedger(redis, place) }
}

const from = (first: number) => Array.from({ length: 10 - first }, (_, i) => first + i)

test('unread entries stay, however old', async () => {
  const { read, settle, retain, left } = await lay('unread')
  await retain()
  assert.deepEqual(await left(), from(0))
  await read('ndvi', 4)
  await settle(0, 4)
  assert.equal((await retain()).settled, 4)
  assert.deepEqual(await left(), from(4))
})

test('nothing goes as settled while its own group is missing: what it has read is unknown', async () => {
  const { place, read, settle, retain, left } = await lay('groupless')
  await read('ndvi', 4)
  await settle(0, 4)
  await redis.xgroup('CREATE', place.stream, 'other', '$')
  await redis.xgroup('DESTROY', place.stream, place.group)
  assert.equal((await retain()).settled, 0)
  assert.deepEqual(await left(), from(0))
})

test('the lowest pending entry stays, and all after it', async () => {
  const { read, settle, retain, left } = await lay('pending')
  await read('ndvi', 10)
  await settle(0, 3)
  await settle(4, 10)
  await retain()
  assert.deepEqual(await left(), from(3))
})

test('what is settled stays for settledFor', async () => {
  const { read, settle, retain, left } = await lay('young')
  await read('ndvi', 10)
  await settle(0, 10)
  await retain({ settledForMs: 4.5 * hour })
  assert.deepEqual(await left(), from(5))
})

test('what others took from the group goes as settled does, after settledFor', async () => {
  const { place, ids, read, retain, left } = await lay('taken')
  await read('ndvi', 10)
  await redis.xack('taken', place.group, ...ids.slice(0, 7))
  await redis.xgroup('DELCONSUMER', 'taken', place.group, 'c')
  await retain({ settledForMs: 4.5 * hour })
  assert.deepEqual(await left(), from(5))
  await retain()
  assert.deepEqual(await left(), [])
})

test('another group’s unread and pending entries stay, unless it is ignored by name', async () => {
  const { read, settle, retain, left } = await lay('others')
  await redis.xgroup('CREATE', 'others', 'audit', '0')
  await read('ndvi', 10)
  await settle(0, 9)
  await retain()
  assert.deepEqual(await left(), from(0), 'it has read nothing')
  await read('audit', 6)
  await retain({ ignoredGroups: ['somebody'] })
  assert.deepEqual(await left(), from(0), 'it has six pending')
  await redis.xack('others', 'audit', ...(await redis.xrange('others', '-', '+')).slice(0, 2).map(([id]) => id))
  await retain()
  assert.deepEqual(await left(), from(2))
  await retain({ ignoredGroups: ['audit'] })
  assert.deepEqual(await left(), from(9))
})

test('without any group that counts nothing is trimmed for age', async () => {
  const { retain, left } = await lay('none')
  await retain({ ignoredGroups: ['ndvi'] })
  assert.deepEqual(await left(), from(0))
})

test('maxEntries cuts further, and what was unread is counted exactly', async () => {
  const { read, settle, retain, left, lost } = await lay('cut')
  await retain()
  await read('ndvi', 3)
  await settle(0, 3)
  const { settled, cut } = await retain({ maxEntries: 2 })
  assert.deepEqual({ settled, cut }, { settled: 3, cut: 5 })
  assert.deepEqual(await left(), [8, 9])
  assert.equal(await lost(), 5)
  await read('ndvi', 10)
  await settle(8, 10)
  assert.equal(await lost(), 5)
})

/**
 * A stream of which 3,000 entries are settled and the last one is unread, all in one node: an approximate trim removes whole
 * nodes only.
 */
async function layLargeNode(t: TestContext) {
  const server = await startRedis(t, { args: ['--stream-node-max-entries', '0', '--stream-node-max-bytes', '0'] })
  const large = server.client()
  const place = placeNamed('large')
  await ensureGroup(large, place.keys, pipelineWith({ source: { stream: 'large' } }).source)
  await large.eval("for i = 0, 3000 do redis.call('XADD', KEYS[1], '*', 'k', i) end", 1, 'large')
  await large.xreadgroup('GROUP', place.group, 'c', 'COUNT', 3_000, 'STREAMS', 'large', '>')
  const ids = (await large.xrange('large', '-', '+')).map(([id]) => id)
  await settleEntries(large, place, ids.slice(0, -1), [])
  /** How many are left after some rounds. */
  return async (retention: Omit<Retention, 'ignoredGroups'>) => {
    for (let round = 0; round < 3; round++) await retainEntries(large, place, { ignoredGroups: [], ...retention })
    return await large.xlen('large')
  }
}

/** The most entries that a server with nodes of its default size leaves. */
const remnant = 100

test('settled entries go also where they share a large node with one that is unread', async (t) => {
  const retain = await layLargeNode(t)
  const left = await retain({ settledForMs: 0 })
  assert.ok(left <= remnant, `${left} entries stay, of which one is unread`)
})

test('maxEntries bounds also a stream of one large node', async (t) => {
  const retain = await layLargeNode(t)
  const left = await retain({ settledForMs: hour, maxEntries: 500 })
  assert.ok(left <= 500 + remnant, `${left} entries stay with maxEntries 500`)
})

test('the entry that retention waits for is reported: whose it is, why, and for how long', async () => {
  const { place, ids, read, settle, retain } = await lay('pinned')
  await redis.xgroup('CREATE', 'pinned', 'audit', '0')
  await read('ndvi', 10)
  await settle(0, 10)
  const first = (await retain()).pin
  assert.deepEqual({ ...first, forMs: 0 }, { group: 'audit', kind: 'unread', id: ids[0], forMs: 0 })
  const longer = await eventually(async () => {
    const { pin } = await retain()
    return pin !== undefined && pin.forMs > 20 && pin
  })
  assert.equal(longer.id, ids[0])
  await read('audit', 3)
  const pending = (await retain()).pin
  assert.deepEqual({ ...pending, forMs: 0 }, { group: 'audit', kind: 'pending', id: ids[0], forMs: 0 })
  assert.deepEqual(replies.readLook(await lookAtStream(redis, place)).pin?.id, ids[0])
  await redis.xack('pinned', 'audit', ...ids.slice(0, 3))
  assert.equal(replies.readLook(await lookAtStream(redis, place)).pin, undefined, 'a look does not repeat what is over')
  assert.equal((await retain({ ignoredGroups: ['audit'] })).pin, undefined)
})

test('a group that has not read entries too young for trimming holds nothing back', async () => {
  const { retain } = await lay('younger')
  assert.equal((await retain({ settledForMs: 20 * hour })).pin, undefined)
})

for (const [what, ids] of [
  ['small', ['5-1', '5-2', '7-1']],
  ['far ahead', ['99999999999999-0', '99999999999999-1', '99999999999999-2']],
  ['as large as can be', ['18446744073709551615-18446744073709551613', '18446744073709551615-18446744073709551614']],
] as const) {
  test(`ids that are no times (${what}): what is settled stays for settledFor, and goes`, async () => {
    const stream = `ids:${what}`
    const place = placeNamed(stream)
    await ensureGroup(redis, place.keys, pipelineWith({ source: { stream } }).source)
    for (const id of ids) await redis.xadd(stream, id, 'k', 'v')
    await redis.xreadgroup('GROUP', place.group, 'c', 'STREAMS', stream, '>')
    await settleEntries(redis, place, ids, [])
    const retain = async (settledForMs: number) => await retainEntries(redis, place, { settledForMs, ignoredGroups: [] })
    const begun = performance.now()
    assert.equal((await retain(300)).settled, 0, 'nothing is known to be old')
    await eventually(async () => {
      const { settled } = await retain(300)
      assert.ok(settled === 0 || performance.now() - begun >= 300)
      return settled === ids.length
    })
    assert.equal(await redis.xlen(stream), 0)
  })
}

test('a Redis that is out of memory still trims', async (t) => {
  const server = await startRedis(t)
  const full = server.client()
  const place = placeNamed('full')
  await ensureGroup(full, place.keys, pipelineWith({ source: { stream: 'full' } }).source)
  await full.eval("for i = 1, 2000 do redis.call('XADD', KEYS[1], '*', 'k', string.rep('x', 1000)) end", 1, 'full')
  await full.xgroup('SETID', 'full', place.group, '$')
  await full.config('SET', 'maxmemory', '1mb')
  await assert.rejects(full.set('a', 'b'), /OOM/)
  const { settled } = await retainEntries(full, place, { settledForMs: 0, ignoredGroups: [] })
  assert.ok(settled > 1_800, `${settled} of 2000 trimmed`)
})
