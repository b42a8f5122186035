import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { streamPlace } from '../../../redis/placement.ts'
import { createTwoStepPath } from '../../../redis/settle/twostep.ts'
import { readAccount, waitingIn } from '../../../redis/stream/account.ts'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { pipelineWith } from '../resource.ts'

const pipeline = pipelineWith({})
const place = streamPlace(pipeline)
const source = { stream: place.stream, group: place.group, startFrom: 'Beginning' } as const

test('the account counts each way in which entries are settled, and adds up', async (t) => {
  const redis = (await startRedis(t)).client()
  const nothing = await readAccount(redis, place)
  assert.deepEqual([nothing.known, nothing.present, nothing.length, waitingIn(nothing)], [false, false, 0, 0])
  await ensureGroup(redis, place.keys, source)
  const opened = await readAccount(redis, place)
  assert.ok(opened.present && opened.known && opened.began > 1_700_000_000_000 && opened.counted)

  const ids: string[] = []
  for (let i = 0; i < 10; i++) ids.push(String(await redis.xadd(place.stream, '*', 'n', String(i))))
  await redis.xreadgroup('GROUP', place.group, 'a', 'COUNT', 8, 'STREAMS', place.stream, '>')
  await settleEntries(
    redis,
    place,
    ids.slice(0, 5),
    [{ id: ids[5] ?? '', reason: 'SchemaViolation', error: 'no', redrives: 0 }],
    2,
  )
  const account = await readAccount(redis, place)
  const { added, settled, forwarded, duplicates, dead, pending, undelivered, deadLetters } = account
  assert.deepEqual(
    { added, settled, forwarded, duplicates, dead, pending, undelivered, deadLetters },
    { added: 10, settled: 6, forwarded: 3, duplicates: 2, dead: 1, pending: 2, undelivered: 2, deadLetters: 1 },
  )
  // Another program has acknowledged one of them: it does not count here.
  await redis.xack(place.stream, place.group, ids[6] ?? '')
  await settleEntries(redis, place, ids.slice(6, 8), [], 1)
  const after = await readAccount(redis, place)
  assert.deepEqual([after.settled, after.forwarded, after.duplicates, after.dead], [7, 4, 2, 1])
})

test('a group that is made again has another age; one of an older version gets one', async (t) => {
  const server = await startRedis(t)
  const redis = server.client()
  await ensureGroup(redis, place.keys, source)
  const { began } = await readAccount(redis, place)
  await ensureGroup(redis, place.keys, source)
  assert.equal((await readAccount(redis, place)).began, began)
  await redis.del(place.stream)
  await ensureGroup(redis, place.keys, source, true)
  const again = await readAccount(redis, place)
  assert.ok(again.began > began)
  await redis.flushall()
  const empty = await readAccount(redis, place)
  assert.deepEqual([empty.present, empty.known, empty.began], [false, false, 0])
  // An emptied Redis remembers no age, so the clock has to move on.
  await setTimeout(2)
  await ensureGroup(redis, place.keys, source, true)
  assert.ok((await readAccount(redis, place)).began > again.began)
  await redis.hdel(place.keys.stats, 'began')
  assert.equal((await readAccount(redis, place)).began, 0)
  await ensureGroup(redis, place.keys, source)
  assert.ok((await readAccount(redis, place)).began > 0)
})

test('groups made one after the other within a millisecond each have an age of their own', async (t) => {
  const redis = (await startRedis(t)).client()
  const ages: number[] = []
  for (let i = 0; i < 100; i++) {
    const [, began] = await Promise.all([
      redis.del(place.stream),
      ensureGroup(redis, place.keys, source, true).then(() => readAccount(redis, place)),
    ])
    ages.push(began.began)
  }
  assert.equal(new Set(ages).size, ages.length)
})

test('the number of undelivered entries behind retained settled ones comes from the counters, not from a count', async (t) => {
  const redis = (await startRedis(t)).client()
  await ensureGroup(redis, place.keys, source)
  const ids: string[] = []
  for (let i = 0; i < 9; i++) ids.push(String(await redis.xadd(place.stream, '*', 'n', String(i))))
  await redis.xreadgroup('GROUP', place.group, 'a', 'COUNT', 4, 'STREAMS', place.stream, '>')
  await settleEntries(redis, place, ids.slice(0, 4), [])
  const { undelivered, counted } = await readAccount(redis, place)
  assert.deepEqual({ undelivered, counted }, { undelivered: 5, counted: false })
})

test('the two-step way counts its duplicates as such', async (t) => {
  const redis = (await startRedis(t)).client()
  await ensureGroup(redis, place.keys, source)
  const kinds = ['Forwarded', 'Duplicate', 'Forwarded', 'Duplicate', 'Duplicate'] as const
  const ids: string[] = []
  for (const kind of kinds) ids.push(String(await redis.xadd(place.stream, '*', 'kind', kind)))
  await redis.xreadgroup('GROUP', place.group, 'a', 'STREAMS', place.stream, '>')
  const path = createTwoStepPath(
    redis,
    place,
    {
      kind: 'Split',
      forward: async () => ({ outcomes: kinds.map((kind) => ({ kind, jobId: 'j' })), waiting: 0 }),
      waiting: async () => 0,
      close: async () => {},
    },
    { maxDeliveries: 5 },
  )
  const item = { hash: 'h', json: Buffer.from('{}'), trace: {} }
  await path.settle(ids.map((id) => ({ kind: 'Forward', id, item, redrives: 0 })))
  await eventually(async () => {
    const { forwarded, duplicates, settled } = await readAccount(redis, place)
    assert.deepEqual({ forwarded, duplicates, settled }, { forwarded: 2, duplicates: 3, settled: 5 })
  })
})
