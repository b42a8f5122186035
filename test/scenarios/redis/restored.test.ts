/**
 * A stream without a max-deleted-entry-id: a dump from a Redis before 7 brings none, and XSETID may set it. Entries that were
 * deleted from its middle are gone, and only a look at each shows that.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, beforeEach, test } from 'node:test'
import type { Redis } from 'ioredis'
import { decodeDeadLetter } from '../../../redis/record.ts'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { auditLedger } from '../../../redis/stream/ledger.ts'
import { claimEntries, handBackEntries, listPending, renewEntries } from '../../../redis/stream/pending.ts'
import { reapConsumer } from '../../../redis/stream/reaping.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import { placeNamed } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

const place = placeNamed('{restored}:jobs')
const { stream, group, keys } = place
let redis: Redis

const scope = fileScope()
before(async () => {
  redis = (await startRedis(scope)).client()
})

let ids: readonly string[] = []
let gone: readonly string[] = []

/** Nine entries under a name, three of which were deleted from the middle before the dump. */
beforeEach(async () => {
  await redis.flushall()
  await ensureGroup(redis, keys, { stream, group, startFrom: 'Beginning' })
  const added: string[] = []
  for (let i = 0; i < 9; i++) added.push(String(await redis.xadd(stream, '*', 'n', String(i))))
  await redis.xreadgroup('GROUP', group, 'me', 'COUNT', 9, 'STREAMS', stream, '>')
  gone = [1, 4, 5].map((at) => added[at] ?? '')
  await redis.xdel(stream, ...gone)
  await redis.call('XSETID', stream, added[8] ?? '', 'ENTRIESADDED', '6', 'MAXDELETEDID', '0-1')
  await redis.hdel(keys.stats, 'base', 'seen')
  ids = added
})

const left = () => ids.filter((id) => !gone.includes(id))
const pending = async () => (await listPending(redis, place, { start: '-', count: 100 })).map(({ id }) => id)
const recorded = async () =>
  (await redis.xrangeBuffer(place.deadLetters, '-', '+')).map(([id, fields]) => {
    const { originalId, reason } = decodeDeadLetter(String(id), fields)
    return `${reason} ${originalId}`
  })
const trimmed = () => gone.map((id) => `Trimmed ${id}`)

/** Nothing is lost, and the remaining entries can be settled. */
async function assertWhole() {
  assert.deepEqual(await recorded(), trimmed())
  assert.deepEqual(await pending(), left())
  assert.equal(await redis.hget(keys.stats, 'trimmedPending'), '3')
  await settleEntries(redis, place, left(), [])
  assert.equal(await auditLedger(redis, place), 0)
  assert.deepEqual(await redis.hmget(keys.stats, 'unaccounted', 'undecided'), ['0', '0'])
}

const owner = { name: 'me', uid: 'p/1', minIdleMs: 60_000, requireExpiredHeartbeat: false }

const works: [what: string, work: (counted: (count: number) => void) => Promise<unknown>][] = [
  ['renewing', async (counted) => await renewEntries(redis, place, 'me', ids, counted)],
  ['handing back', async (counted) => await handBackEntries(redis, place, 'me', 60_000, counted)],
  [
    'reaping',
    async (counted) => {
      await redis.hset(keys.consumers, 'me', 'p/1')
      const reaping = await reapConsumer(redis, place, owner)
      counted(reaping.kind === 'Released' ? reaping.trimmed : Number.NaN)
    },
  ],
  ['claiming', async (counted) => counted((await claimEntries(redis, place, 'you', 0, ids)).trimmed)],
]
for (const [what, work] of works) {
  test(`${what}: what was deleted before the dump becomes a dead letter, counted once, and nothing else`, async () => {
    await auditLedger(redis, place)
    let count = 0
    const counted = (more: number) => {
      count += more
    }
    await work(counted)
    assert.equal(count, 3)
    await assertWhole()
    await redis.hset(keys.consumers, 'me', 'p/1')
  })

  test(`${what}: it stays pending while no record can be written`, async () => {
    await redis.set(place.deadLetters, 'text')
    await work(() => undefined)
    assert.deepEqual(await pending(), ids)
    await redis.del(place.deadLetters)
    await work(() => undefined)
    await assertWhole()
  })
}

test('room for one record: one is written, the others stay pending', async () => {
  const narrow = { ...place, maxDeadLetters: 1 }
  await handBackEntries(redis, narrow, 'me', 60_000)
  assert.equal((await recorded()).length, 1)
  assert.deepEqual((await pending()).length, 8)
})
