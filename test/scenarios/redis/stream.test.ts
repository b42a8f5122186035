import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { StreamPipelineError } from '../../../api/errors.ts'
import { type DeadLetter, decodeDeadLetter } from '../../../redis/record.ts'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { claimEntries, handBackEntries, listPending, renewEntries } from '../../../redis/stream/pending.ts'
import { heartbeatTtlMs, parseHeartbeat, retireConsumer, sendHeartbeat } from '../../../redis/stream/registry.ts'
import { type DeadLetterOrder, settleEntries } from '../../../redis/stream/settlement.ts'
import { placeNamed } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'
import { seed } from '../../support/seed.ts'
import { eventually } from '../../support/wait.ts'

const place = placeNamed('{t}:jobs')
const { stream, group, keys } = place
const source = { stream, group, startFrom: 'Beginning' as const }
let redis: Redis

const scope = fileScope()
before(async () => {
  redis = (await startRedis(scope)).client()
})
beforeEach(async () => {
  await redis.flushall()
})

const add = async (count: number) => {
  const ids: string[] = []
  for (let i = 0; i < count; i++) ids.push(String(await redis.xadd(stream, '*', 'job_id', String(i))))
  return ids
}
const read = async (consumer: string, count: number) => {
  const reply = await redis.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
  const entries = (reply as [string, [string, string[]][]][] | null)?.[0]?.[1] ?? []
  return entries.map(([id]) => id)
}
const rows = async () => await listPending(redis, place, { start: '-', count: 10_000 })
const counts = async () => new Map((await rows()).map((row) => [row.id, row.deliveries]))
const dead = async (): Promise<DeadLetter[]> =>
  (await redis.xrangeBuffer(place.deadLetters, '-', '+')).map(([id, fields]) => decodeDeadLetter(String(id), fields))
const deadLetter = (id: string, more: Partial<DeadLetterOrder> = {}): DeadLetterOrder => ({
  id,
  reason: 'InvalidPayload',
  error: 'why',
  redrives: 0,
  ...more,
})
const beat = (consumer = 'me') =>
  sendHeartbeat(redis, place, consumer, {
    uid: `uid of ${consumer}`,
    state: 'Running',
    inFlight: 1,
    serviceMs: 1.5,
    path: 'Atomic',
    forwarded: 2,
    duplicates: 3,
    dead: 4,
    reclaimed: 5,
  })
const idle = async (id: string, ms: number) => {
  await redis.call('XCLAIM', stream, group, 'gone', '0', id, 'IDLE', String(ms), 'JUSTID')
}

describe('the group', () => {
  test('is made with its stream where spec.startFrom says, and left alone when it exists', async () => {
    await add(2)
    assert.deepEqual(await ensureGroup(redis, keys, source), { kind: 'created', start: '0-0' })
    assert.equal((await ensureGroup(redis, keys, source)).kind, 'exists')
    assert.equal((await read('a', 10)).length, 2)
    const late = placeNamed('{t}:late')
    await redis.xadd(late.stream, '*', 'a', '1')
    const created = await ensureGroup(redis, late.keys, { stream: late.stream, group, startFrom: 'End' })
    assert.deepEqual(created, { kind: 'created', start: '$' })
    assert.equal(await redis.xreadgroup('GROUP', group, 'a', 'STREAMS', late.stream, '>'), null)
  })

  test('destroyed, with a history retained: begins again below what was pending, and re-executes nothing settled', async () => {
    await ensureGroup(redis, keys, source)
    const ids = await add(20)
    await read('a', 10)
    await settleEntries(redis, place, ids.slice(0, 7), [])
    await beat()
    await redis.xgroup('DESTROY', stream, group)
    assert.equal((await ensureGroup(redis, keys, { ...source, startFrom: 'End' })).kind, 'recreated')
    assert.deepEqual(await read('b', 100), ids.slice(7))
  })

  test('destroyed when nothing was pending: begins after the last delivered', async () => {
    await ensureGroup(redis, keys, source)
    const ids = await add(5)
    await settleEntries(redis, place, await read('a', 3), [])
    await beat()
    await redis.xgroup('DESTROY', stream, group)
    await ensureGroup(redis, keys, source)
    assert.deepEqual(await read('b', 100), ids.slice(3))
  })

  test('after FLUSHALL the group begins at 0 if the caller has seen it before, even with startFrom End', async () => {
    const end = { ...source, startFrom: 'End' as const }
    await ensureGroup(redis, keys, end)
    await redis.flushall()
    const ids = await add(3)
    assert.deepEqual(await ensureGroup(redis, keys, end, true), { kind: 'recreated', start: '0-0' })
    assert.deepEqual(await read('a', 10), ids)
  })

  test('a group that is made again begins at 0 if its remembered floor lies beyond the last id of the stream', async () => {
    await ensureGroup(redis, keys, source)
    await add(3)
    await read('a', 3)
    await beat()
    await redis.del(stream)
    await redis.xadd(stream, '5-5', 'a', '1')
    assert.deepEqual(await ensureGroup(redis, keys, source), { kind: 'recreated', start: '0-0' })
    assert.deepEqual(await read('a', 10), ['5-5'])
  })

  test('ids of any size make a floor the server takes', async () => {
    const max = '18446744073709551615'
    const lists = [
      ['0-1', '0-2'],
      ['7-0', '7-9007199254740993'],
      [`7-${max}`, '8-0'],
      ['9007199254740993-0', `${max}-5`],
      [`${max}-${max}`],
    ]
    for (const ids of lists) {
      await redis.flushall()
      await ensureGroup(redis, keys, source)
      for (const id of ids) await redis.xadd(stream, id, 'a', '1')
      await read('a', 10)
      await beat()
      await redis.xgroup('DESTROY', stream, group)
      await ensureGroup(redis, keys, source)
      assert.deepEqual(await read('a', 10), ids)
    }
  })

  test('a stream name that holds something else is an error, not a group', async () => {
    await redis.set(stream, 'text')
    await assert.rejects(ensureGroup(redis, keys, source), (thrown) => {
      assert.ok(thrown instanceof StreamPipelineError)
      assert.equal(thrown.code, 'RedisCommandFailed')
      return true
    })
  })
})

describe('settling', () => {
  beforeEach(() => ensureGroup(redis, keys, source))

  test('acknowledges and dead-letters in one step, and the ledger counts what XACK counted', async () => {
    const [a = '', b = '', c = ''] = await add(3)
    await read('me', 3)
    const result = await settleEntries(redis, place, [a, a], [deadLetter(b, { hash: 'h', redrives: 2 })])
    assert.deepEqual(result, { acknowledged: 2, deadLetters: ['dead'] })
    assert.deepEqual([...(await counts()).keys()], [c])
    assert.deepEqual(await redis.hmget(keys.stats, 'settled', 'dead'), ['2', '1'])
    const [record] = await dead()
    assert.deepEqual(
      [record?.originalId, record?.stream, record?.group, record?.consumer, record?.deliveries, record?.reason, record?.error],
      [b, stream, group, 'me', 1, 'InvalidPayload', 'why'],
    )
    assert.deepEqual([record?.idempotencyKey, record?.redrives, record?.firstSeen], ['h', 2, Number(b.split('-')[0])])
    assert.ok(Math.abs((record?.deadAt ?? 0) - Date.now()) < 60_000)
    assert.deepEqual(await settleEntries(redis, place, [a], [deadLetter(b)]), { acknowledged: 0, deadLetters: ['gone'] })
    assert.equal((await dead()).length, 1)
  })

  test('a dead letter keeps any bytes', async () => {
    const bytes = fc.uint8Array({ maxLength: 300 }).map((part) => Buffer.from(part))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(bytes, bytes), { minLength: 1, maxLength: 40 }), async (pairs) => {
        const id = String(await redis.xadd(stream, '*', ...(pairs.flat() as [Buffer, Buffer])))
        await read('me', 1)
        await settleEntries(redis, place, [], [deadLetter(id)])
        assert.deepEqual((await dead()).at(-1)?.payload, pairs.flat())
        await redis.del(place.deadLetters)
      }),
      { seed, numRuns: 40 },
    )
    const many = Array.from({ length: 5_000 }, (_, i) => String(i))
    const id = String(await redis.xadd(stream, '*', ...(many as [string, string])))
    await read('me', 1)
    await settleEntries(redis, place, [], [deadLetter(id)])
    assert.deepEqual((await dead())[0]?.payload.map(String), many)
  })

  test('a dead-letter stream of the wrong type leaves the entry pending and acknowledges the others', async () => {
    const [a = '', b = ''] = await add(2)
    await read('me', 2)
    await redis.set(place.deadLetters, 'text')
    const { acknowledged, deadLetters, refusal } = await settleEntries(redis, place, [a], [deadLetter(b)])
    assert.deepEqual([acknowledged, deadLetters], [1, ['refused']])
    assert.deepEqual([refusal?.code, refusal?.parameters['key']], ['WrongKeyType', place.deadLetters])
    assert.deepEqual([...(await counts())], [[b, 1]])
    assert.deepEqual(await redis.hmget(keys.stats, 'settled', 'dead'), ['1', null])
  })

  test('without memory nothing is dead-lettered, and acknowledging still works', async () => {
    const [a = '', b = ''] = await add(2)
    await read('me', 2)
    await redis.config('SET', 'maxmemory', '1')
    try {
      assert.equal((await settleEntries(redis, place, [], [deadLetter(b)])).refusal?.code, 'RedisOutOfMemory')
      assert.equal((await settleEntries(redis, place, [a], [])).acknowledged, 1)
    } finally {
      await redis.config('SET', 'maxmemory', '0')
    }
    assert.deepEqual([...(await counts())], [[b, 1]])
  })

  test('what another consumer took meanwhile is not dead-lettered', async () => {
    const [a = ''] = await add(1)
    await read('me', 1)
    const only = { minIdleMs: 60_000, minDeliveries: 5 }
    assert.deepEqual((await settleEntries(redis, place, [], [deadLetter(a, { only })])).deadLetters, ['gone'])
    assert.equal((await dead()).length, 0)
  })

  test('an entry trimmed meanwhile is dead-lettered with what is known', async () => {
    const [a = ''] = await add(1)
    await read('me', 1)
    await redis.xtrim(stream, 'MAXLEN', 0)
    await settleEntries(redis, place, [], [deadLetter(a)])
    const [record] = await dead()
    assert.deepEqual([record?.originalId, record?.payload.length, record?.reason], [a, 0, 'InvalidPayload'])
    assert.match(record?.error ?? '', /has been trimmed/)
  })

  test('a thousand at once', async () => {
    const ids = await add(1_000)
    await read('me', 1_000)
    assert.equal((await settleEntries(redis, place, ids, [])).acknowledged, 1_000)
  })
})

describe('pending entries', () => {
  beforeEach(() => ensureGroup(redis, keys, source))

  test('listing changes nothing; a claim raises the count by one, and brings bytes', async () => {
    const value = Buffer.from([0xff, 0x00, 0x0a])
    const id = String(await redis.xadd(stream, '*', 'f', value))
    await read('gone', 1)
    await rows()
    assert.deepEqual([...(await counts())], [[id, 1]])
    const { claimed, trimmed } = await claimEntries(redis, place, 'me', 0, [id, '1-1'])
    assert.equal(trimmed, 0)
    assert.deepEqual(claimed, [{ id, fields: [Buffer.from('f'), value], deliveries: 2 }])
    assert.deepEqual(
      (await rows()).map((row) => [row.consumer, row.deliveries]),
      [['me', 2]],
    )
    assert.deepEqual((await claimEntries(redis, place, 'other', 60_000, [id])).claimed, [], 'not idle long enough')
    assert.deepEqual((await claimEntries(redis, place, 'other', 0, [id], { own: true })).claimed, [], 'not its own')
    const regained = await claimEntries(redis, place, 'me', 0, [id], { counts: false })
    assert.deepEqual(
      [regained.claimed[0]?.deliveries, [...(await counts())]],
      [2, [[id, 2]]],
      'taken up without an attempt between',
    )
  })

  test('a claim takes no more than fits a bound on bytes, one entry at least, and says how far it came', async () => {
    const ids: string[] = []
    for (const size of [100, 100, 5_000, 100]) ids.push(String(await redis.xadd(place.stream, '*', 'v', 'x'.repeat(size - 1))))
    await read('gone', 4)
    const take = async (from: number) => {
      const { claimed, seen } = await claimEntries(redis, place, 'me', 0, ids.slice(from), { maxBytes: 250 })
      return [claimed.map(({ id }) => ids.indexOf(id)), seen]
    }
    assert.deepEqual(await take(0), [[0, 1], 2])
    assert.deepEqual(await take(2), [[2], 1])
    assert.deepEqual(await take(3), [[3], 1])
    assert.deepEqual([...(await counts()).values()], [2, 2, 2, 2])
  })

  test('without memory nothing is claimed: no delivery is counted for an attempt that must fail', async () => {
    const [id = ''] = await add(1)
    await read('gone', 1)
    await redis.config('SET', 'maxmemory', '1')
    try {
      await assert.rejects(
        claimEntries(redis, place, 'me', 0, [id]),
        (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'RedisOutOfMemory',
      )
    } finally {
      await redis.config('SET', 'maxmemory', '0')
    }
    assert.deepEqual([...(await counts())], [[id, 1]])
    assert.deepEqual((await claimEntries(redis, place, 'me', 0, [id])).claimed[0]?.deliveries, 2)
  })

  test('a trimmed entry becomes a record, once', async () => {
    const [a = '', b = ''] = await add(2)
    await read('gone', 2)
    await redis.xdel(stream, a)
    const both = [a, b]
    const { claimed, trimmed } = await claimEntries(redis, place, 'me', 0, both)
    assert.deepEqual([trimmed, claimed.map(({ id }) => id)], [1, [b]])
    assert.equal((await claimEntries(redis, place, 'me', 0, both)).trimmed, 0)
    assert.deepEqual(
      (await dead()).map(({ originalId, reason, consumer }) => [originalId, reason, consumer]),
      [[a, 'Trimmed', 'gone']],
    )
    assert.equal(await redis.hget(keys.stats, 'trimmedPending'), '1')
  })

  test('a record that cannot be written neither hides what was claimed nor loses the trimmed entry', async () => {
    const [a = '', b = ''] = await add(2)
    await read('gone', 2)
    await redis.xdel(stream, b)
    await redis.set(place.deadLetters, 'text')
    const { claimed, trimmed, refusal } = await claimEntries(redis, place, 'me', 0, [a, b])
    assert.deepEqual([trimmed, claimed.map(({ id }) => id), refusal?.code], [0, [a], 'WrongKeyType'])
    assert.deepEqual([...(await counts()).keys()], [a, b])
  })

  test('renewing resets idle times of own entries, leaves counts alone, steals nothing and drops no trimmed row', async () => {
    const [a = '', b = '', c = ''] = await add(3)
    await read('me', 3)
    for (const id of [a, b, c])
      await redis.call('XCLAIM', stream, group, id === b ? 'thief' : 'me', '0', id, 'IDLE', '50000', 'JUSTID')
    await redis.xdel(stream, c)
    assert.equal(await renewEntries(redis, place, 'me', [a, b, c]), 1)
    const found = new Map((await rows()).map((row) => [row.id, row]))
    assert.ok((found.get(a)?.idleMs ?? Number.NaN) < 10_000)
    assert.deepEqual([found.get(b)?.consumer, found.get(a)?.deliveries, found.size], ['thief', 1, 3])
    assert.ok((found.get(b)?.idleMs ?? 0) >= 50_000)
  })

  test('handed back: claimable at once, the delivery taken back, the others nudged, another’s left alone', async () => {
    const ids = await add(4)
    await read('me', 3)
    await read('peer', 1)
    await redis.xdel(stream, ids[2] ?? '')
    const { nudge } = await beat()
    assert.equal(await handBackEntries(redis, place, 'me', 30_000), 2)
    assert.notEqual((await beat()).nudge, nudge)
    const claimed = await claimEntries(redis, place, 'peer', 30_000, ids)
    assert.deepEqual(
      claimed.claimed.map(({ id, deliveries }) => [id, deliveries]),
      ids.slice(0, 2).map((id) => [id, 1]),
    )
    assert.deepEqual(
      (await dead()).map(({ originalId, reason }) => [originalId, reason]),
      [[ids[2], 'Trimmed']],
    )
    assert.equal(await handBackEntries(redis, place, 'nobody', 1), 0)
  })

  test('more than a page of them is handed back', async () => {
    const pipeline = redis.pipeline()
    for (let i = 0; i < 2_500; i++) pipeline.xadd(stream, '*', 'a', '1')
    await pipeline.exec()
    await read('me', 2_500)
    assert.equal(await handBackEntries(redis, place, 'me', 30_000), 2_500)
    assert.deepEqual(new Set((await counts()).values()), new Set([0]))
    assert.equal((await listPending(redis, place, { start: '-', count: 5_000, minIdleMs: 30_000 })).length, 2_500)
  })

  test('pages go on after the last row', async () => {
    const ids = await add(5)
    await read('me', 5)
    const first = await listPending(redis, place, { start: '-', count: 3, consumer: 'me' })
    const second = await listPending(redis, place, { start: `(${first.at(-1)?.id}`, count: 3, consumer: 'me' })
    assert.deepEqual(
      [...first, ...second].map(({ id }) => id),
      ids,
    )
  })
})

describe('the registry', () => {
  beforeEach(() => ensureGroup(redis, keys, source))

  test('a heartbeat expires, reads back, registers the name and returns what the server knows', async () => {
    const ids = await add(3)
    await read('me', 2)
    const reply = await beat()
    assert.equal(reply.held, 2)
    assert.ok(Math.abs(reply.now - Date.now()) < 60_000)
    const heartbeat = parseHeartbeat(await redis.get(keys.consumer('me')))
    assert.deepEqual(heartbeat, {
      uid: 'uid of me',
      at: reply.now,
      state: 'Running',
      inFlight: 1,
      serviceMs: 1.5,
      path: 'Atomic',
      forwarded: 2,
      duplicates: 3,
      dead: 4,
      reclaimed: 5,
    })
    const ttl = await redis.pttl(keys.consumer('me'))
    assert.ok(ttl > heartbeatTtlMs / 3 && ttl <= heartbeatTtlMs)
    assert.deepEqual(await redis.hgetall(keys.consumers), { me: 'uid of me' })
    const [ms, seq] = (ids[0] ?? '').split('-').map(Number)
    const floor = seq === 0 ? `${Number(ms) - 1}-18446744073709551615` : `${ms}-${Number(seq) - 1}`
    assert.equal(await redis.hget(keys.stats, 'floor'), floor)
  })

  test('the nudge is heard once bumped', async () => {
    const before = (await beat()).nudge
    await redis.incr(keys.nudge)
    assert.notEqual((await beat()).nudge, before)
  })

  test('a group that is gone is an error, not a heartbeat', async () => {
    await redis.xgroup('DESTROY', stream, group)
    await assert.rejects(beat(), (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'RedisCommandFailed')
  })

  test('text that is no heartbeat is none', () => {
    for (const text of [null, '', '1', 'null', '[', '"x"']) assert.equal(parseHeartbeat(text), undefined)
    assert.equal(parseHeartbeat('{"uid":7,"at":"x"}')?.uid, '')
  })

  test('a name is retired only when it holds nothing', async () => {
    const [a = ''] = await add(1)
    await read('me', 1)
    await beat()
    assert.equal(await retireConsumer(redis, place, 'me'), false)
    assert.deepEqual(await redis.hkeys(keys.consumers), ['me'])
    await settleEntries(redis, place, [a], [])
    assert.equal(await retireConsumer(redis, place, 'me'), true)
    assert.deepEqual(await redis.xinfo('CONSUMERS', stream, group), [])
    assert.equal(await redis.exists(keys.consumers, keys.consumer('me')), 0)
    await redis.flushall()
    assert.equal(await retireConsumer(redis, place, 'me'), false, 'without a group there is nothing to retire')
  })

  test('idle entries of the vanished are found by their age', async () => {
    const [a = ''] = await add(1)
    await read('gone', 1)
    assert.equal((await listPending(redis, place, { start: '-', count: 1, minIdleMs: 40_000 })).length, 0)
    await idle(a, 40_000)
    await eventually(async () => (await listPending(redis, place, { start: '-', count: 1, minIdleMs: 40_000 })).length === 1)
  })
})
