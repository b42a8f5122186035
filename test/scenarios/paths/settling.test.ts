/** One suite over the three paths of settling: each case of an entry, and its outcome. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, type TestContext, test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import type { PathKind } from '../../../redis/settle/path.ts'
import { auditLedger } from '../../../redis/stream/ledger.ts'
import { claimEntries } from '../../../redis/stream/pending.ts'
import { digest, kindsOf, openPath, type PathChanges, pathKinds, type Servers } from '../../paths/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

let servers: Servers
const debug = { args: ['--enable-debug-command', 'local'] }
const scope = fileScope()
before(async () => {
  const [stream, queue] = await Promise.all([startRedis(scope, debug), startRedis(scope, debug)])
  servers = { stream, queue }
})

const failsWith = (code: string) => (thrown: unknown) => thrown instanceof StreamPipelineError && thrown.code === code

for (const kind of pathKinds) describe(`${kind}:`, () => suite(kind))

/** How many of each kind. */
function tallied(outcomes: readonly { readonly kind: string }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind } of outcomes) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

function suite(kind: PathKind) {
  const open = (t: TestContext, changes: PathChanges = {}) => openPath(t, kind, servers, changes)

  test('forwarded: a job with a mark that shows where it came from, acknowledged and counted', async (t) => {
    const { putKeys, read, settle, pending, live, id, mark, queueClient, stream, place, queue } = await open(t)
    const entries = await putKeys('a', 'b')
    assert.deepEqual(kindsOf(await settle(await read())), ['forwarded', 'forwarded'])
    assert.deepEqual(await live(), [id('b'), id('a')])
    assert.deepEqual(await pending(), [])
    assert.equal(await queueClient.get(mark('a')), entries[0])
    assert.equal(await stream.hget(place.keys.stats, 'settled'), '2')
    assert.deepEqual((await queue.getJob(id('a')))?.data, { k: 'a' })
  })

  test('duplicate: of a mark that outlived its job, and of another entry of the batch', async (t) => {
    const { putKeys, read, settle, pending, live, jobKey, queueClient, queueKey } = await open(t)
    await putKeys('a', 'b', 'a', 'a')
    assert.deepEqual(kindsOf(await settle(await read())), ['forwarded', 'forwarded', 'duplicate', 'duplicate'])
    await queueClient.del(jobKey('a'), `${queueKey}wait`)
    await putKeys('a')
    assert.deepEqual(kindsOf(await settle(await read())), ['duplicate'])
    assert.deepEqual([await live(), await pending()], [[], []])
  })

  test('gone: what another consumer settled is not forwarded, though its mark is gone too', async (t) => {
    const { putKeys, put, read, settle, live, stream, place, dead } = await open(t)
    await putKeys('a', 'b')
    await put('k', 'c', 'k', 'twice')
    const entries = await read()
    await stream.xack(place.stream, place.group, entries[0]?.id ?? '', entries[2]?.id ?? '')
    assert.deepEqual(kindsOf(await settle(entries)), ['gone', 'forwarded', 'gone'])
    assert.equal((await live()).length, 1)
    assert.deepEqual(await dead(), [])
    assert.deepEqual(kindsOf(await settle(entries)), ['gone', 'gone', 'gone'])
    assert.equal((await live()).length, 1)
    assert.equal(await stream.hget(place.keys.stats, 'settled'), '1')
  })

  test('over the ceiling: a dead letter with its payload; at the ceiling: forwarded', async (t) => {
    const { putKeys, read, settle, deliver, dead, pending, live } = await open(t, { delivery: { maxDeliveries: 3 } })
    const [over = '', at = ''] = await putKeys('over', 'at')
    const entries = await read('holder')
    await deliver(over, 4, 'holder')
    await deliver(at, 3, 'holder')
    assert.deepEqual(kindsOf(await settle(entries)), ['dead', 'forwarded'])
    const [letter] = await dead()
    assert.deepEqual([letter?.reason, letter?.deliveries, letter?.consumer], ['MaxDeliveries', 4, 'holder'])
    assert.deepEqual(letter?.payload.map(String), ['k', 'over'])
    assert.deepEqual([(await live()).length, await pending()], [1, []])
  })

  test('each reason that input can give: a dead letter with every byte, beside entries that go through', async (t) => {
    const schema = { type: 'object', properties: { k: { type: 'string', maxLength: 8 }, n: { type: 'integer' } } }
    const { put, read, settle, dead, pending, live } = await open(t, { payload: { maxBytes: '1Ki', maxFields: 3, schema } })
    const sent: [reason: string, ...fields: (string | Buffer)[]][] = [
      ['InvalidPayload', 'k', Buffer.from([0xff, 0x00, 0xfe])],
      ['InvalidPayload', 'other', 'no key'],
      ['PayloadTooLarge', 'k', 'x'.repeat(2_000)],
      ['TooManyFields', 'k', 'a', 'b', '1', 'c', '2', 'd', '3'],
      ['SchemaViolation', 'k', 'a', 'n', '1.5'],
    ]
    for (const [, ...fields] of sent) {
      await put(...fields)
      await put('k', `good${live.length}`)
    }
    const outcomes = await settle(await read())
    assert.deepEqual(
      outcomes.filter(({ kind }) => kind === 'dead').map((outcome) => 'reason' in outcome && outcome.reason),
      [...sent.map(([reason]) => reason)],
    )
    const letters = await dead()
    for (const [index, [reason, ...fields]] of sent.entries()) {
      assert.equal(letters[index]?.reason, reason)
      assert.deepEqual(
        letters[index]?.payload,
        fields.map((field) => Buffer.from(field as string)),
      )
    }
    assert.deepEqual([(await live()).length, await pending()], [1, []])
  })

  test('SinkRejected: what BullMQ refuses, and a job key that holds something else', async (t) => {
    const refused = await open(t, { jobOptions: { priority: 5 } })
    Object.assign(refused.pipeline.sink.jobOptions, { priority: 2_097_153 })
    await refused.putKeys('a')
    const [outcome] = await refused.settle(await refused.read())
    assert.ok(outcome?.kind === 'dead' && outcome.reason === 'SinkRejected')
    assert.match((await refused.dead())[0]?.error ?? '', /[Pp]riority/)
    assert.equal(await refused.queueClient.exists(refused.mark('a'), refused.jobKey('a')), 0)

    const taken = await open(t)
    await taken.queueClient.lpush(taken.jobKey('a'), 'somebody else’s')
    await taken.putKeys('a', 'b')
    assert.deepEqual(kindsOf(await taken.settle(await taken.read())), ['dead', 'forwarded'])
    assert.match((await taken.dead())[0]?.error ?? '', /holds a list, not a job/)
    assert.deepEqual([await taken.live(), await taken.pending()], [[taken.id('b')], []])
    assert.equal(await taken.queueClient.llen(taken.jobKey('a')), 1)
  })

  describe('a job that exists without a mark', () => {
    const hour = 3_600_000
    const window = 24 * hour
    const states: [state: string, ageMs: number, expected: string][] = [
      ['wait', 2 * window, 'duplicate'],
      ['paused', 0, 'duplicate'],
      ['active', 0, 'duplicate'],
      ['delayed', 0, 'duplicate'],
      ['prioritized', 0, 'duplicate'],
      ['waiting-children', 0, 'duplicate'],
      ['completed', hour, 'duplicate'],
      ['failed', hour, 'duplicate'],
      ['completed', window + hour, 'forwarded'],
      ['failed', window + hour, 'forwarded'],
      ['nowhere', 0, 'forwarded'],
      ['nowhere', window + hour, 'forwarded'],
    ]
    for (const [state, age, expected] of states) {
      test(`in ${state}, added ${age / hour} h ago: ${expected}`, async (t) => {
        const { putKeys, read, settle, live, id, jobKey, mark, queueClient, queueKey, pending } = await open(t, {
          idempotency: { window: '24h' },
        })
        await putKeys('a')
        await settle(await read())
        await queueClient.del(mark('a'), `${queueKey}wait`)
        await queueClient.hset(jobKey('a'), 'timestamp', Date.now() - age, 'stale', 'yes')
        if (state === 'wait' || state === 'active' || state === 'paused') await queueClient.lpush(queueKey + state, id('a'))
        else if (state !== 'nowhere') await queueClient.zadd(queueKey + state, 1, id('a'))
        if (state === 'completed' || state === 'failed') await queueClient.hset(jobKey('a'), 'finishedOn', Date.now() - age)
        await putKeys('a')
        assert.deepEqual(kindsOf(await settle(await read())), [expected])
        assert.deepEqual(await pending(), [])
        const stale = await queueClient.hexists(jobKey('a'), 'stale')
        const ttl = await queueClient.pttl(mark('a'))
        if (expected === 'forwarded') {
          assert.deepEqual([await live(), stale], [[id('a')], 0])
          assert.equal(await queueClient.zcard(`${queueKey}completed`), 0)
          assert.equal(await queueClient.zcard(`${queueKey}failed`), 0)
          assert.ok(ttl > window - hour && ttl <= window)
        } else {
          assert.equal(stale, 1)
          const left = Math.max(1_000, window - age)
          assert.ok(ttl > 0 && ttl <= left && ttl > left - 30_000, `${ttl} of ${left}`)
        }
      })
    }
  })

  describe('a job without a mark, added before the window began and finished within it', () => {
    for (const state of ['completed', 'failed']) {
      test(`in ${state}: duplicate, as the window counts from its finish`, async (t) => {
        const path = await open(t, { idempotency: { window: '24h' } })
        const { putKeys, read, settle, live, id, jobKey, mark, queueClient, queueKey } = path
        await putKeys('a')
        await settle(await read())
        const [hour, now] = [3_600_000, Date.now()]
        await queueClient.del(mark('a'), `${queueKey}wait`)
        await queueClient.hset(jobKey('a'), { timestamp: now - 25 * hour, finishedOn: now - hour })
        await queueClient.zadd(queueKey + state, now - hour, id('a'))
        await putKeys('a')
        assert.deepEqual(kindsOf(await settle(await read())), ['duplicate'])
        assert.deepEqual(await live(), [])
        const ttl = await queueClient.pttl(mark('a'))
        assert.ok(ttl > 0 && ttl <= 24 * hour, String(ttl))
      })
    }
  })

  test('a finished job that makes way leaves its set, also where BullMQ would not remove it', async (t) => {
    const { putKeys, read, settle, live, id, jobKey, mark, queueClient, queueKey } = await open(t)
    await queueClient.hset(jobKey('a'), { name: 'x', data: '{}', opts: '{}', timestamp: 1, finishedOn: 1 })
    await queueClient.zadd(`${queueKey}completed`, 1, id('a'))
    await queueClient.set(`${jobKey('a')}:lock`, 'left behind')
    await putKeys('a')
    assert.deepEqual(kindsOf(await settle(await read())), ['forwarded'])
    assert.deepEqual([await live(), await queueClient.zrange(`${queueKey}completed`, '0', '-1')], [[id('a')], []])
    assert.equal(await queueClient.exists(mark('a')), 1)
  })

  for (const field of ['settled', 'dead', 'trimmedPending', 'base']) {
    test(`the count ${field} that another program spoilt stops nothing, and the ledger begins anew`, async (t) => {
      const { put, putKeys, read, settle, stream, place, pending } = await open(t)
      await putKeys('a')
      await settle(await read())
      await auditLedger(stream, place)
      await stream.hset(place.keys.stats, field, 'many')
      await putKeys('b')
      await put('k', 'twice', 'k', 'twice')
      assert.deepEqual(kindsOf(await settle(await read())), ['forwarded', 'dead'])
      const gone = await put('k', 'c')
      await read('gone')
      await stream.xdel(place.stream, gone)
      await claimEntries(stream, place, 'me', 0, [gone])
      assert.deepEqual([await pending(), await auditLedger(stream, place)], [[], 0])
    })
  }

  describe('a job whose times another program spoilt costs only its own entry', () => {
    const spoilt: [what: string, hash: Record<string, string>, list: string | undefined][] = [
      ['no number, in no list', { timestamp: 'soon' }, undefined],
      ['no number, waiting', { timestamp: 'soon' }, 'wait'],
      ['no number, finished', { timestamp: 'soon', finishedOn: 'later' }, 'completed'],
      ['not a number by name, waiting', { timestamp: 'nan' }, 'wait'],
      ['endless, waiting', { timestamp: 'inf' }, 'wait'],
      ['beyond any date, waiting', { timestamp: '1e30' }, 'wait'],
      ['empty, waiting', { timestamp: '' }, 'wait'],
    ]
    for (const [what, hash, list] of spoilt) {
      test(what, async (t) => {
        const { putKeys, read, settle, live, pending, id, jobKey, queueClient, queueKey } = await open(t)
        await queueClient.hset(jobKey('bad'), { name: 'x', data: '{}', opts: '{}', ...hash })
        if (list === 'wait') await queueClient.lpush(queueKey + list, id('bad'))
        else if (list !== undefined) await queueClient.zadd(queueKey + list, 1, id('bad'))
        await putKeys('good', 'bad', 'fine')
        const entries = await read()
        const outcomes = await settle(entries)
        const [good, bad = '', fine] = kindsOf(outcomes)
        assert.deepEqual([good, fine], ['forwarded', 'forwarded'])
        assert.ok(['forwarded', 'duplicate', 'dead'].includes(bad), bad)
        assert.deepEqual(await pending(), [])
        const jobs = await live()
        assert.ok(jobs.includes(id('good')) && jobs.includes(id('fine')))
        assert.equal(new Set(jobs).size, jobs.length)
      })
    }
  })

  test('a dead-letter stream of another type: the entry stays pending, the others are settled; mended, it is dead-lettered', async (t) => {
    const { put, putKeys, read, settle, settleWith, judge, stream, place, pending, dead, live } = await open(t)
    await stream.set(place.deadLetters, 'text')
    const bad = await put('k', 'a', 'k', 'b')
    await putKeys('c')
    const entries = await read()
    const [broken] = entries
    assert.ok(broken)
    // Settled entries are reported beside the failure: on another try they would count as gone.
    const partly = await settleWith(entries.map(judge))
    assert.deepEqual([kindsOf(partly.outcomes), partly.failure?.code], [['unsettled', 'forwarded'], 'WrongKeyType'])
    await assert.rejects(settle([broken]), failsWith('WrongKeyType'))
    assert.deepEqual(
      (await pending()).map(({ id }) => id),
      [bad],
    )
    assert.equal((await live()).length, 1)
    await stream.del(place.deadLetters)
    assert.deepEqual(kindsOf(await settle(entries)), ['dead', 'gone'])
    assert.deepEqual([(await dead()).length, await pending()], [1, []])
  })

  test('a hundred entries, one of which Redis refuses: each outcome is its own, and none is gone when the rest is tried again', async (t) => {
    const { put, putKeys, read, settleWith, judge, stream, place, pending, live } = await open(t)
    await stream.set(place.deadLetters, 'text')
    await putKeys(...Array.from({ length: 60 }, (_, i) => `k${i}`))
    await put('k', 'a', 'k', 'b')
    await putKeys(...Array.from({ length: 39 }, (_, i) => `k${60 + i}`))
    const verdicts = (await read()).map(judge)
    const first = await settleWith(verdicts)
    assert.deepEqual(tallied(first.outcomes), { forwarded: 99, unsettled: 1 })
    await stream.del(place.deadLetters)
    const again = await settleWith(verdicts.filter((_, index) => first.outcomes[index]?.kind === 'unsettled'))
    assert.deepEqual([tallied(again.outcomes), again.failure], [{ dead: 1 }, undefined])
    assert.deepEqual([(await live()).length, await pending()], [99, []])
  })

  if (kind === 'Atomic') {
    test('one piece of a batch fails altogether: the others are reported as settled', async (t) => {
      const { putKeys, read, settleWith, judge, pending } = await open(t)
      await putKeys(...Array.from({ length: 99 }, (_, i) => `k${i}`))
      const verdicts = (await read()).map(judge)
      const [last] = verdicts.slice(-1)
      assert.ok(last)
      // The server takes no such id, and its script stops before it has written anything.
      const { outcomes, failure } = await settleWith([...verdicts, { ...last, id: 'no id' }])
      assert.equal(failure?.code, 'RedisCommandFailed')
      const { forwarded = 0, unsettled = 0, ...others } = tallied(outcomes)
      assert.deepEqual(others, {})
      assert.ok(forwarded >= 50 && forwarded + unsettled === 100, JSON.stringify({ forwarded, unsettled }))
      const again = await settleWith(verdicts.filter((_, index) => outcomes[index]?.kind === 'unsettled'))
      assert.deepEqual(tallied(again.outcomes), { forwarded: 99 - forwarded })
      assert.deepEqual(await pending(), [])
    })
  }

  test('without memory: nothing is added, dead-lettered or acknowledged; with it again, all is, once', async (t) => {
    const { put, putKeys, read, settle, stream, queueClient, pending, dead, live } = await open(t)
    await put('k', 'a', 'k', 'b')
    await putKeys('c', 'd')
    const entries = await read()
    const clients = [...new Set([stream, queueClient])]
    for (const client of clients) await client.config('SET', 'maxmemory', '1')
    try {
      await assert.rejects(settle(entries), failsWith('RedisOutOfMemory'))
      assert.equal((await pending()).length, 3)
    } finally {
      for (const client of clients) await client.config('SET', 'maxmemory', '0')
    }
    assert.deepEqual(kindsOf(await settle(entries)), ['dead', 'forwarded', 'forwarded'])
    assert.deepEqual([(await dead()).length, (await live()).length, await pending()], [1, 2, []])
  })

  test('duplicates are acknowledged even without memory, unless a lock must be written for that', async (t) => {
    const { putKeys, read, settle, queueClient, stream, pending } = await open(t)
    await putKeys('a', 'a', 'a')
    const [first, ...rest] = await read()
    await settle(first === undefined ? [] : [first])
    const clients = [...new Set([stream, queueClient])]
    for (const client of clients) await client.config('SET', 'maxmemory', '1')
    try {
      if (kind === 'Portable') await assert.rejects(settle(rest), failsWith('RedisOutOfMemory'))
      else assert.deepEqual(kindsOf(await settle(rest)), ['duplicate', 'duplicate'])
    } finally {
      for (const client of clients) await client.config('SET', 'maxmemory', '0')
    }
    if (kind === 'Portable') await settle(rest)
    assert.deepEqual(await pending(), [])
  })

  test('each key of the queue gets another type in turn, between two batches: nothing is written; mended, all goes through once', async (t) => {
    const { putKeys, read, settle, queueClient, stream, queueKey, pending, live, target } = await open(t)
    const seen = async () => await Promise.all([stream, queueClient].map((client) => digest(client, `*${target.queue}*`)))
    await putKeys('a')
    await settle(await read())
    const broken = [
      'wait',
      'active',
      'paused',
      'meta',
      'id',
      'delayed',
      'prioritized',
      'completed',
      'failed',
      'marker',
      'events',
      'pc',
    ]
    let forwarded = 1
    for (const part of broken) {
      const key = queueKey + part
      await putKeys(`b-${part}`, `c-${part}`)
      const entries = await read()
      const kept = (await queueClient.exists(key)) === 1
      if (kept) await queueClient.rename(key, `${key}:kept`)
      if (part === 'id' || part === 'pc') await queueClient.lpush(key, 'litter')
      else await queueClient.set(key, 'litter')
      const before = await seen()
      await assert.rejects(settle(entries), (thrown) => thrown instanceof StreamPipelineError && thrown.retryable, part)
      assert.deepEqual(await seen(), before, part)
      await queueClient.del(key)
      if (kept) await queueClient.rename(`${key}:kept`, key)
      assert.deepEqual(kindsOf(await settle(entries)), ['forwarded', 'forwarded'], part)
      forwarded += 2
    }
    const jobs = await live()
    assert.deepEqual([jobs.length, new Set(jobs).size, await pending()], [forwarded, forwarded, []])
  })

  test('marks know stream, group and queue: one key in three pipelines into one queue makes three jobs', async (t) => {
    const name = `{shared-${kind}}`
    const sink = { queue: `shared-${kind}` }
    const one = await open(t, { source: { stream: `${name}:x` }, sink })
    const other = await open(t, { source: { stream: `${name}:y` }, sink })
    const group = await open(t, { source: { stream: `${name}:x`, group: 'second' }, sink })
    await one.putKeys('a')
    await other.putKeys('a')
    for (const path of [one, other, group]) {
      assert.deepEqual(kindsOf(await path.settle(await path.read())), ['forwarded'])
    }
    assert.equal(new Set(await one.live()).size, 3)
    const elsewhere = await open(t, { source: { stream: `${name}:x`, group: 'third' }, sink: { queue: `shared2-${kind}` } })
    assert.deepEqual(kindsOf(await elsewhere.settle(await elsewhere.read())), ['forwarded'])
  })

  test('a server that forgot its scripts costs nothing', async (t) => {
    const { putKeys, read, settle, stream, queueClient, live } = await open(t)
    for (const key of ['a', 'b']) {
      await putKeys(key)
      for (const client of [stream, queueClient]) await client.script('FLUSH')
      assert.deepEqual(kindsOf(await settle(await read())), ['forwarded'])
    }
    assert.equal((await live()).length, 2)
  })
}
