import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { encode } from '@msgpack/msgpack'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { StreamPipelineError } from '../../../api/errors.ts'
import { openBullQueue } from '../../../redis/bullmq/queue.ts'
import { restoreLarge } from '../../../redis/deadletters/largereplay.ts'
import { createDeadLetters, type DeadLetters } from '../../../redis/deadletters/replay.ts'
import { jobId, keySpace } from '../../../redis/keys.ts'
import { beginLargeReplay, endLargeReplay } from '../../../redis/scripts/generated.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { openRights, type Rights } from '../../support/rights.ts'
import { fileScope } from '../scope.ts'

let server: RedisServer
let other: RedisServer
let rights: { readonly near: Rights; readonly far: Rights }
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
  other = await startRedis(scope)
  rights = { near: await openRights(server), far: await openRights(other) }
})

let count = 0
const binary = Buffer.from([0xff, 0x00, 0xfe])

/** A pipeline with one dead letter, whose queue is beside the stream or in another Redis. */
async function setUp(placement: 'together' | 'elsewhere', fields: readonly (string | Buffer)[] = ['n', '1', 'bytes', binary]) {
  const name = `r${++count}`
  const stream = server.client() as Redis
  const queue = placement === 'together' ? stream : (other.client({ maxRetriesPerRequest: null }) as Redis)
  const keys = keySpace(`${name}:jobs`, 'g', placement === 'together' ? `${name}:jobs` : `bull:${name}`)
  const streamKeys = keySpace(`${name}:jobs`, 'g')
  const place = { stream: `${name}:jobs`, group: 'g', deadLetters: `{${name}:jobs}:dead`, maxDeadLetters: 100, keys: streamKeys }
  const target = {
    queue: name,
    prefix: 'bull',
    jobName: 'compute',
    jobOptions: { attempts: 1, removeOnComplete: false, removeOnFail: false },
    windowMs: 60_000,
    lockTtlMs: 5_000,
    keys,
  }
  await stream.xgroup('CREATE', place.stream, 'g', '0', 'MKSTREAM')
  const id = String(await stream.xadd(place.stream, '*', ...(fields as string[])))
  await stream.xreadgroup('GROUP', 'g', 'c', 'STREAMS', place.stream, '>')
  const hash = `hash-${name}`
  await settleEntries(stream, place, [], [{ id, reason: 'JobFailed', error: 'boom', hash, redrives: 2 }])
  await queue.set(keys.mark(hash), '1')
  const bull = await openBullQueue(queue, name, 'bull')
  const together = placement === 'together'
  const letters = createDeadLetters({ stream, queue, placement: { place, target, together }, scripts: bull.scripts })
  return { name, stream, queue, place, target, letters, bull, hash, job: jobId(keys.scope, hash) }
}

async function first(letters: DeadLetters) {
  for await (const record of letters.list({})) return record
  throw new Error('no dead letter')
}

/** Adds a record like the first, with other fields. */
async function copyRecord(stream: Redis, deadLetters: string, changes: Readonly<Record<string, string | Buffer>>) {
  const [found] = await stream.xrangeBuffer(deadLetters, '-', '+', 'COUNT', 1)
  const flat: (string | Buffer)[] = [...(found?.[1] ?? [])]
  for (const [name, value] of Object.entries(changes)) {
    const at = flat.findIndex((part, index) => index % 2 === 0 && String(part) === name)
    if (at === -1) flat.push(name, value)
    else flat[at + 1] = value
  }
  return String(await stream.xadd(deadLetters, '*', ...(flat as string[])))
}

for (const placement of ['together', 'elsewhere'] as const) {
  test(`a replay restores the bytes, counts up, and deletes mark and record (${placement})`, async (t) => {
    const { stream, queue, place, target, letters, bull, hash } = await setUp(placement)
    t.after(() => bull.close())
    const outcome = await letters.replay(await first(letters))
    assert.equal(outcome.kind, 'replayed')
    const [, entry] = await stream.xrangeBuffer(place.stream, '-', '+')
    assert.deepEqual(
      entry?.[1],
      ['n', '1', 'bytes', binary, 'sp-redrives', '3'].map((part) => Buffer.from(part)),
    )
    assert.equal(await queue.exists(target.keys.mark(hash)), 0)
    assert.equal(await stream.xlen(place.deadLetters), 0)
  })

  test(`a record with thousands of fields is replayed, each field as it was (${placement})`, async (t) => {
    const fields = Array.from({ length: 5_000 }, (_, i) => [`field-${i}`, String(i)]).flat()
    const { stream, place, letters, bull } = await setUp(placement, fields)
    t.after(() => bull.close())
    assert.equal((await letters.replay(await first(letters))).kind, 'replayed')
    const [, entry] = await stream.xrange(place.stream, '-', '+')
    assert.deepEqual(entry?.[1], [...fields, 'sp-redrives', '3'])
    assert.equal(await stream.xlen(place.deadLetters), 0)
  })

  for (const command of ['del', 'xadd', 'xdel']) {
    test(`a replay that may not ${command} adds no entry, however often it is tried (${placement})`, async (t) => {
      const { stream, place, letters, bull } = await setUp(placement)
      t.after(() => bull.close())
      const record = await first(letters)
      await (placement === 'together' || command !== 'del' ? rights.near : rights.far).without([command], async () => {
        for (let tries = 0; tries < 3; tries++) await assert.rejects(letters.replay(record), StreamPipelineError)
      })
      assert.deepEqual([await stream.xlen(place.stream), await stream.xlen(place.deadLetters)], [1, 1])
      assert.equal((await letters.replay(record)).kind, 'replayed')
      assert.deepEqual([await stream.xlen(place.stream), await stream.xlen(place.deadLetters)], [2, 0])
    })
  }

  test(`a replay that added its entry and could not delete its record only deletes it the next time (${placement})`, async (t) => {
    const { stream, queue, place, target, letters, bull, hash } = await setUp(placement)
    t.after(() => bull.close())
    const record = await first(letters)
    await stream.hset(place.keys.replays, record.id, '9-9')
    assert.deepEqual(await letters.replay(record), { kind: 'replayed', id: '9-9' })
    assert.deepEqual([await stream.xlen(place.stream), await stream.xlen(place.deadLetters)], [1, 0])
    assert.equal(await queue.exists(target.keys.mark(hash)), 1, 'the mark is the new entry’s')
    assert.equal(await stream.exists(place.keys.replays), 0)
  })

  const manyFields = Array.from({ length: 10_000 }, (_, i) => i)
  for (const [size, fields] of [
    ['small', undefined],
    ['large', manyFields.map(String)],
  ] as const) {
    test(`a replay leaves the record if Redis is out of memory, or if the stream’s key holds another type: ${size} (${placement})`, async (t) => {
      const { stream, place, letters, bull } = await setUp(placement, fields)
      t.after(() => bull.close())
      const record = await first(letters)
      await stream.config('SET', 'maxmemory', '1')
      await assert.rejects(letters.replay(record), { code: 'RedisOutOfMemory' })
      await stream.config('SET', 'maxmemory', '0')
      await stream.rename(place.stream, `${place.stream}:aside`)
      await stream.set(place.stream, 'text')
      await assert.rejects(letters.replay(record), /holds a string, not a stream/)
      assert.equal(await stream.xlen(place.deadLetters), 1)
      await stream.rename(`${place.stream}:aside`, place.stream)
      assert.equal((await letters.replay(record)).kind, 'replayed')
      assert.deepEqual([await stream.xlen(place.stream), await stream.xlen(place.deadLetters)], [2, 0])
    })

    test(`many replays of one record at once give one entry: ${size} (${placement})`, async (t) => {
      const { stream, place, letters, bull } = await setUp(placement, fields)
      t.after(() => bull.close())
      const record = await first(letters)
      const kinds = (await Promise.all(Array.from({ length: 6 }, () => letters.replay(record)))).map(({ kind }) => kind)
      assert.deepEqual(kinds.toSorted(), [...Array<string>(5).fill('gone'), 'replayed'])
      assert.deepEqual([await stream.xlen(place.stream), await stream.xlen(place.deadLetters)], [2, 0])
      assert.equal(await stream.exists(place.keys.replays), 0)
    })
  }

  test(`two replays at once give one entry and one gone (${placement})`, async (t) => {
    const { stream, place, letters, bull } = await setUp(placement)
    t.after(() => bull.close())
    const record = await first(letters)
    const kinds = (await Promise.all([letters.replay(record), letters.replay(record)])).map(({ kind }) => kind)
    assert.deepEqual(kinds.toSorted(), ['gone', 'replayed'])
    assert.equal(await stream.xlen(place.stream), 2)
  })

  test(`a job that waits keeps its record, a finished one makes way (${placement})`, async (t) => {
    const { name, queue, place, stream, letters, bull, job } = await setUp(placement)
    t.after(() => bull.close())
    const jobs = new Queue(name, { connection: queue, skipMetasUpdate: true })
    t.after(() => jobs.close())
    await jobs.add('compute', {}, { jobId: job })
    const record = await first(letters)
    assert.deepEqual(await letters.replay(record), { kind: 'busy', job })
    assert.equal(await stream.xlen(place.deadLetters), 1)
    await queue.lrem(`bull:${name}:wait`, 0, job)
    await queue.zadd(`bull:${name}:failed`, '1', job)
    assert.equal((await letters.replay(record)).kind, 'replayed')
    assert.equal(await queue.exists(`bull:${name}:${job}`), 0)
    assert.equal(await queue.zscore(`bull:${name}:failed`, job), null)
  })
}

test('a record without payload is not replayed', async (t) => {
  const { stream, place, letters, bull } = await setUp('together')
  t.after(() => bull.close())
  const record = await letters.show(await copyRecord(stream, place.deadLetters, { reason: 'Trimmed', payload: '' }))
  assert.ok(record)
  assert.deepEqual(await letters.replay(record), { kind: 'empty' })
  assert.equal(await stream.xlen(place.deadLetters), 2)
})

test('records are listed by reason over several pages, and purged by id', async (t) => {
  const { stream, place, letters, bull } = await setUp('together')
  t.after(() => bull.close())
  const pipeline = stream.pipeline()
  for (let n = 0; n < 450; n++)
    pipeline.xadd(place.deadLetters, '*', 'reason', n % 3 === 0 ? 'Trimmed' : 'InvalidPayload', 'payload', '')
  await pipeline.exec()
  const trimmed: string[] = []
  for await (const { id } of letters.list({ reason: 'Trimmed' })) trimmed.push(id)
  assert.equal(trimmed.length, 150)
  assert.equal(await letters.purge(trimmed), 150)
  assert.equal(await letters.purge(trimmed), 0)
  assert.equal(await stream.xlen(place.deadLetters), 301)
  await assert.rejects(letters.show('nonsense'), { code: 'InvalidOption' })
})

test('bytes of any kind survive a replay that goes through the client', async (t) => {
  const values = Array.from({ length: 4_000 }, (_, i) => [
    Buffer.from([0xff, i >> 8, i & 0xff]),
    Buffer.from([i & 0xff, 0, 0x80]),
  ])
  const sent = [...values.flat(), '', '', 'n', '1']
  const { stream, place, letters, bull } = await setUp('together', sent)
  t.after(() => bull.close())
  assert.equal((await letters.replay(await first(letters))).kind, 'replayed')
  const [, entry] = await stream.xrangeBuffer(place.stream, '-', '+')
  const expected = [...sent, 'sp-redrives', '3'].map((part) => Buffer.from(part as string))
  assert.deepEqual(entry?.[1], expected)
})

test('an entry that the stream refused in the middle of a large replay leaves its record', async (t) => {
  const { stream, place, bull } = await setUp('together', Array.from({ length: 10_000 }, String))
  t.after(() => bull.close())
  const [found] = await stream.xrange(place.deadLetters, '-', '+')
  const keys = { stream: place.stream, deadLetters: place.deadLetters, replays: place.keys.replays }
  const multi = stream.multi()
  beginLargeReplay(multi, keys, { id: found?.[0] ?? '' })
  // Refused when it is run, not when it is queued.
  multi.call('XADD', [place.stream, '0-1', 'n', '1'])
  endLargeReplay(multi, keys, { id: found?.[0] ?? '' })
  const replies = await multi.exec()
  assert.match(String(replies?.[1]?.[0]), /equal or smaller/)
  assert.deepEqual([await stream.xlen(place.stream), await stream.xlen(place.deadLetters)], [1, 1])
  assert.equal(await stream.exists(place.keys.replays), 0)
})

test('a large replay that looks again after another one has added the entry deletes the record, and returns the id of the entry', async (t) => {
  const { stream, place, bull } = await setUp('together', Array.from({ length: 10_000 }, String))
  t.after(() => bull.close())
  const [found] = await stream.xrange(place.deadLetters, '-', '+')
  const id = found?.[0] ?? ''
  await stream.hset(place.keys.replays, id, '9-9')
  const keys = { stream: place.stream, deadLetters: place.deadLetters, replays: place.keys.replays }
  assert.equal(await restoreLarge(stream, keys, id), '9-9')
  assert.deepEqual([await stream.xlen(place.stream), await stream.xlen(place.deadLetters)], [1, 0])
  assert.equal(await stream.exists(place.keys.replays), 0)
})

test('a record that a consumer ordered without fetching its entry keeps the number of replays', async (t) => {
  const { stream, place, letters, bull } = await setUp('together')
  t.after(() => bull.close())
  const written: readonly (readonly [replays: string, kept: number])[] = [
    ['5', 5],
    ['1e9', 0],
    ['9'.repeat(400), 0],
  ]
  for (const [replays, kept] of written) {
    const id = String(await stream.xadd(place.stream, '*', 'n', '1', 'sp-redrives', replays))
    await stream.xreadgroup('GROUP', 'g', 'c', 'STREAMS', place.stream, '>')
    await settleEntries(stream, place, [], [{ id, reason: 'MaxDeliveries', error: 'worn', redrives: 0 }])
    const records = await Array.fromAsync(letters.list({ reason: 'MaxDeliveries' }))
    assert.equal(records.find(({ originalId }) => originalId === id)?.redrives, kept, replays)
  }
})

for (const placement of ['together', 'elsewhere'] as const)
  test(`the note of a large replay that ended between its commands is no entry: the replay adds it (${placement})`, async (t) => {
    const { stream, place, letters, bull } = await setUp(placement, Array.from({ length: 10_000 }, String))
    t.after(() => bull.close())
    const record = await first(letters)
    await stream.hset(place.keys.replays, record.id, 'after 1-1')
    const outcome = await letters.replay(record)
    const [, entry] = await stream.xrange(place.stream, '-', '+')
    assert.deepEqual(outcome, { kind: 'replayed', id: entry?.[0] })
    assert.deepEqual([await stream.xlen(place.stream), await stream.xlen(place.deadLetters)], [2, 0])
  })

const flat = (...items: unknown[]) => Buffer.from(encode(items))
const spoilt: [what: string, changes: Readonly<Record<string, string | Buffer>>, says: RegExp][] = [
  ['no MessagePack', { payload: 'not msgpack' }, /its payload is no list/],
  ['cut off', { payload: Buffer.from([0x94, 0xa1, 0x6e]) }, /its payload is no list/],
  ['of odd length', { payload: flat('n', '1', 'm') }, /its payload is no list/],
  ['a map', { payload: Buffer.from([0x81, 0xa1, 0x6e, 0xa1, 0x31]) }, /its payload is no list/],
  ['of numbers', { payload: flat(1, 2) }, /its payload is no list/],
  ['of lists', { payload: flat(['n'], ['1']) }, /its payload is no list/],
  ['followed by more', { payload: Buffer.concat([flat('n', '1'), Buffer.from([1])]) }, /its payload is no list/],
  ['said to be endless', { payload: Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]) }, /its payload is no list/],
  ['deeply nested', { payload: Buffer.alloc(100_000, 0x91) }, /its payload is no list/],
  [
    'there, but not its numbers',
    { redrives: 'many', deliveries: '-1' },
    /its deliveries is no number, its redrives is no number/,
  ],
  ['there, and its time is none', { deadAt: '1e99', firstSeen: '9999999999999999' }, /its firstSeen is no number, its deadAt/],
  ['of a reason from elsewhere', { reason: 'Moon' }, /its reason is not known/],
]
for (const [what, changes, says] of spoilt) {
  test(`a record whose payload is ${what} is listed and not replayed`, async (t) => {
    const { stream, place, letters, bull } = await setUp('together')
    t.after(() => bull.close())
    const id = await copyRecord(stream, place.deadLetters, changes)
    const record = (await Array.fromAsync(letters.list({}))).find((one) => one.id === id)
    assert.ok(record)
    assert.match(record.damage ?? '', says)
    assert.equal((await letters.replay(record)).kind, 'damaged')
    // The script does not rely on earlier judgement of the payload.
    if ('payload' in changes) {
      const { damage: _, ...believed } = record
      assert.equal((await letters.replay(believed)).kind, 'damaged')
    }
    assert.equal(await stream.xlen(place.stream), 1)
    assert.equal(await letters.purge([id]), 1)
  })
}
