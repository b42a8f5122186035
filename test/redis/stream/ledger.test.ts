/**
 * The ledger against a model: random histories of adding, reading, settling, claiming, trimming and deleting on a real Redis,
 * with the loss compared after every step. RUNS and SEED choose how many histories and which.
 */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Redis } from 'ioredis'
import { keySpace } from '../../../redis/keys.ts'
import type { StreamPlace } from '../../../redis/placement.ts'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { auditLedger, readLedger } from '../../../redis/stream/ledger.ts'
import { claimEntries } from '../../../redis/stream/pending.ts'
import { retainEntries } from '../../../redis/stream/retention.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import '../../support/leaks.ts'
import { startRedis } from '../../support/redis.ts'
import { randomFrom } from '../random.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
/** Compared sums; a hundred times as many with RUNS=100000. */
const wanted = Number(process.env['RUNS'] ?? 1_500)

/** The model: entries unread and still there, unread and gone, pending, by id. */
interface Model {
  readonly unread: Set<string>
  readonly pending: Set<string>
  lost: number
}

async function present(redis: Redis, stream: string): Promise<Set<string>> {
  return new Set((await redis.xrange(stream, '-', '+')).map(([id]) => id))
}

/** Moves entries that left the stream from unread to lost. */
async function notice(redis: Redis, place: StreamPlace, model: Model) {
  const there = await present(redis, place.stream)
  for (const id of model.unread) {
    if (there.has(id)) continue
    model.unread.delete(id)
    model.lost += 1
  }
}

async function step(redis: Redis, place: StreamPlace, model: Model, random: () => number) {
  const { stream, group } = place
  const some = (ids: Iterable<string>) => [...ids].filter(() => random() < 0.5)
  switch (Math.floor(random() * 8)) {
    case 0:
    case 1:
      for (let n = 1 + Math.floor(random() * 5); n > 0; n--) model.unread.add(String(await redis.xadd(stream, '*', 'n', '1')))
      return
    case 2: {
      const count = 1 + Math.floor(random() * 4)
      const reply = await redis.xreadgroup('GROUP', group, 'reader', 'COUNT', count, 'STREAMS', stream, '>')
      const entries = (reply as [string, [string, string[]][]][] | null)?.[0]?.[1] ?? []
      for (const [id] of entries) {
        model.unread.delete(id)
        model.pending.add(id)
      }
      return
    }
    case 3: {
      const ids = some(model.pending)
      const half = ids.filter(() => random() < 0.5)
      await settleEntries(
        redis,
        place,
        ids.filter((id) => !half.includes(id)),
        half.map((id) => ({ id, reason: 'InvalidPayload' as const, error: 'model', redrives: 0 })),
      )
      for (const id of ids) model.pending.delete(id)
      return
    }
    case 4: {
      const ids = some(model.pending)
      const there = await present(redis, stream)
      await claimEntries(redis, place, 'claimer', 0, ids)
      for (const id of ids) if (!there.has(id)) model.pending.delete(id)
      return
    }
    case 5:
      await redis.xtrim(stream, 'MAXLEN', Math.floor(random() * 8))
      return
    case 6: {
      const ids = some(await present(redis, stream)).slice(0, 2)
      if (ids.length > 0) await redis.xdel(stream, ...ids)
      return
    }
    case 7:
      await retainEntries(redis, place, { settledForMs: 0, ignoredGroups: [], ...(random() < 0.3 ? { maxEntries: 4 } : {}) })
      return
    default:
      throw new Error('no such step')
  }
}

test(`what was cut unread is counted exactly over random histories (SEED=${seed})`, async (t) => {
  const server = await startRedis(t)
  const redis = server.client() as Redis
  const random = randomFrom(seed)
  let [compared, exact] = [0, 0]
  for (let history = 0; compared < wanted; history++) {
    const stream = `h${history}`
    const place = { stream, group: 'g', deadLetters: `${stream}:dead`, maxDeadLetters: 1_000, keys: keySpace(stream, 'g') }
    const model: Model = { unread: new Set(), pending: new Set(), lost: 0 }
    for (let n = Math.floor(random() * 4); n > 0; n--) model.unread.add(String(await redis.xadd(stream, '*', 'n', '1')))
    if (random() < 0.3) model.unread.clear()
    const startFrom = model.unread.size === 0 ? 'End' : 'Beginning'
    await ensureGroup(redis, place.keys, { stream, group: 'g', startFrom })
    for (let n = 0; n < 25; n++) {
      await step(redis, place, model, random)
      await notice(redis, place, model)
      const { lost, unaccounted, undecided } = await readLedger(redis, place)
      if (lost === undefined) continue
      compared += 1
      exact += undecided === 0 ? 1 : 0
      const where = `history ${history}, step ${n}: ${lost} lost, ${undecided} undecided, truly ${model.lost}`
      assert.ok(lost <= model.lost && model.lost <= lost + undecided, where)
      assert.equal(unaccounted, 0, where)
    }
    await redis.del(stream, place.deadLetters, place.keys.stats)
  }
  t.diagnostic(`${compared} sums compared, ${exact} of them exact`)
})

/** A group whose ledger has begun, with ten unread entries. */
async function tenUnread(t: TestContext) {
  const redis = (await startRedis(t)).client()
  const stream = 's'
  const place = { stream, group: 'g', deadLetters: `${stream}:dead`, maxDeadLetters: 1_000, keys: keySpace(stream, 'g') }
  await ensureGroup(redis, place.keys, { stream, group: 'g', startFrom: 'Beginning' })
  const add = async (count: number) => {
    for (let n = 0; n < count; n++) await redis.xadd(stream, '*', 'n', String(n))
  }
  await add(10)
  assert.equal(await auditLedger(redis, place), 0)
  const ids = (await redis.xrange(stream, '-', '+')).map(([id]) => id)
  const read = async (consumer: string) => void (await redis.xreadgroup('GROUP', 'g', consumer, 'STREAMS', stream, '>'))
  const ledger = async () => await readLedger(redis, place)
  return { redis, stream, place, ids, add, read, ledger, lost: async () => await auditLedger(redis, place) }
}

type TenUnread = Awaited<ReturnType<typeof tenUnread>>

const strangersSteps: readonly (readonly [what: string, step: (given: TenUnread) => Promise<unknown>])[] = [
  [
    'another consumer of the group acknowledges entries',
    async ({ redis, stream, ids, read }) => {
      await read('stranger')
      await redis.xack(stream, 'g', ...ids)
    },
  ],
  ['XGROUP SETID skips entries', async ({ redis, stream, ids }) => await redis.xgroup('SETID', stream, 'g', ids[6] ?? '')],
  ['XGROUP SETID skips all entries', async ({ redis, stream }) => await redis.xgroup('SETID', stream, 'g', '$')],
  [
    'XGROUP DELCONSUMER forgets what its consumer holds',
    async ({ redis, stream, read }) => {
      await read('stranger')
      await redis.xgroup('DELCONSUMER', stream, 'g', 'stranger')
    },
  ],
]
for (const [what, step] of strangersSteps) {
  test(`nothing counts as lost when ${what}, and a real loss afterwards is counted exactly`, async (t) => {
    const given = await tenUnread(t)
    await step(given)
    await given.read('mine')
    const reported = (await given.lost()) ?? 0
    assert.equal(reported, 0, `${reported} are reported as lost, and all are in the stream`)
    await given.add(5)
    await given.redis.xtrim(given.stream, 'MAXLEN', 0)
    assert.equal(await given.lost(), 5)
  })
}

test('what strangers took is counted while it is in the stream, with where to begin again', async (t) => {
  const { redis, stream, ids, add, read, ledger } = await tenUnread(t)
  await read('stranger')
  await redis.xack(stream, 'g', ...ids.slice(0, 4))
  const { since, from, ...counts } = await ledger()
  assert.deepEqual(counts, { lost: 0, unaccounted: 4, undecided: 0 })
  assert.ok(since > 0 && since <= Date.now())
  await redis.call('XGROUP', ['SETID', stream, 'g', from])
  await read('mine')
  await redis.xack(stream, 'g', ...ids.slice(4))
  await add(1)
  const again = await redis.xpending(stream, 'g', '-', '+', 100)
  assert.deepEqual(
    (again as [string][]).map(([id]) => id),
    ids.slice(0, 4),
    'delivered again',
  )
  await redis.xtrim(stream, 'MAXLEN', 0)
  assert.equal((await ledger()).unaccounted, 0, 'what is gone cannot be delivered again')
})

test('a flushed server, a stream of an older time, and another last id make no negative and no false loss', async (t) => {
  const { redis, stream, place, ids, add, read, ledger } = await tenUnread(t)
  const older = await redis.dumpBuffer(stream)
  await read('mine')
  await settleEntries(redis, place, ids, [])
  await add(5)
  await read('mine')
  assert.equal((await ledger()).lost, 0)
  await redis.restore(stream, 0, older, 'REPLACE')
  assert.equal((await ledger()).lost, 0, 'the stream is as it was before')
  await read('mine')
  await settleEntries(redis, place, ids, [])
  await redis.call('XSETID', stream, '99999999999999-0')
  assert.equal((await ledger()).lost, 0)
  await redis.xadd(stream, '*', 'n', '1')
  await redis.xtrim(stream, 'MAXLEN', 0)
  assert.equal((await ledger()).lost, 1, 'a real loss is counted again')
  await redis.flushall()
  await ensureGroup(redis, place.keys, { stream, group: 'g', startFrom: 'Beginning' }, true)
  await add(3)
  assert.deepEqual(await ledger(), { lost: 0, unaccounted: 0, undecided: 0, from: '', since: 0 })
})

test('after XSETID with another ENTRIESADDED the missing entries are undecided, and lost once the stream holds none that old', async (t) => {
  const { redis, stream, ids, read, ledger, add, lost } = await tenUnread(t)
  await read('mine')
  await redis.call('XSETID', stream, ids.at(-1) ?? '', 'ENTRIESADDED', '14', 'MAXDELETEDID', '0-0')
  const { lost: reported, unaccounted, undecided } = await ledger()
  assert.deepEqual({ reported, unaccounted, undecided }, { reported: 0, unaccounted: 0, undecided: 4 })
  await add(3)
  await redis.xtrim(stream, 'MAXLEN', 0)
  assert.equal(await lost(), 3 + 4)
})
