/**
 * The ledger in a group that other programs use, too: random histories in which strangers acknowledge, delete consumers, move the
 * cursor, trim and delete. RUNS and SEED choose how many histories and which.
 *
 * After each step: loss never falls, and never counts entries in the stream. Entries in the stream that strangers took count as
 * unaccounted or undecided, until the cursor is set back. A step is counted exactly if the ledger states the loss before and after
 * it.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Redis } from 'ioredis'
import { keySpace } from '../../../redis/keys.ts'
import type { StreamPlace } from '../../../redis/placement.ts'
import { ensureGroup } from '../../../redis/stream/group.ts'
import { readLedger } from '../../../redis/stream/ledger.ts'
import { retainEntries } from '../../../redis/stream/retention.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import '../../support/leaks.ts'
import { randomFrom } from '../../redis/random.ts'
import { startRedis } from '../../support/redis.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const wanted = Number(process.env['RUNS'] ?? 1_000)

/** Where each entry is; one that is in none of these sets was settled by us. */
interface Model {
  readonly unread: Set<string>
  readonly pending: Set<string>
  readonly taken: Set<string>
  /** Cut unread. */
  lost: number
  /** Left the stream otherwise than settled by us. */
  gone: number
  /** The cursor was set back: settled entries may be counted once more. */
  setBack: boolean
}

interface Given {
  readonly redis: Redis
  readonly place: StreamPlace
  readonly model: Model
  readonly random: () => number
}

const present = async ({ redis, place }: Given) => (await redis.xrange(place.stream, '-', '+')).map(([id]) => id)

/** Entries that left the stream in the last step. */
async function notice(given: Given) {
  const { model } = given
  const there = new Set(await present(given))
  for (const id of model.unread) {
    if (there.has(id)) continue
    model.unread.delete(id)
    model.lost += 1
    model.gone += 1
  }
  for (const id of model.taken) {
    if (there.has(id)) continue
    model.taken.delete(id)
    model.gone += 1
  }
}

async function read({ redis, place, model }: Given, consumer: string, count: number): Promise<string[]> {
  const reply = await redis.xreadgroup('GROUP', place.group, consumer, 'COUNT', count, 'STREAMS', place.stream, '>')
  const ids = ((reply as [string, [string, string[]][]][] | null)?.[0]?.[1] ?? []).map(([id]) => id)
  for (const id of ids) {
    model.unread.delete(id)
    model.pending.add(id)
  }
  return ids
}

function take({ model }: Given, ids: readonly string[]) {
  for (const id of ids) if (model.pending.delete(id)) model.taken.add(id)
}

const steps: readonly ((given: Given) => Promise<unknown>)[] = [
  async ({ redis, place, model, random }) => {
    for (let n = 1 + Math.floor(random() * 6); n > 0; n--) model.unread.add(String(await redis.xadd(place.stream, '*', 'n', '1')))
  },
  async (given) => await read(given, 'ours', 1 + Math.floor(given.random() * 6)),
  async (given) => await read(given, 'ours', 100),
  async ({ redis, place, model, random }) => {
    const ids = [...model.pending].filter(() => random() < 0.6)
    await settleEntries(redis, place, ids, [])
    for (const id of ids) model.pending.delete(id)
  },
  // Only entries that are old enough and settled, and those over a bound.
  async ({ redis, place, random }) =>
    await retainEntries(redis, place, { settledForMs: 0, ignoredGroups: [], ...(random() < 0.5 ? { maxEntries: 5 } : {}) }),
  // From here on it is strangers.
  async (given) => {
    const ids = await read(given, 'stranger', 1 + Math.floor(given.random() * 4))
    if (ids.length > 0) await given.redis.xack(given.place.stream, given.place.group, ...ids)
    take(given, ids)
  },
  async (given) => {
    const ids = [...given.model.pending].filter(() => given.random() < 0.3)
    if (ids.length > 0) await given.redis.xack(given.place.stream, given.place.group, ...ids)
    take(given, ids)
  },
  async (given) => {
    await given.redis.xgroup('DELCONSUMER', given.place.stream, given.place.group, 'ours')
    take(given, [...given.model.pending])
  },
  async (given) => {
    const ahead = (await present(given)).filter((id) => given.model.unread.has(id))
    const to = ahead[Math.floor(given.random() * ahead.length)]
    if (to === undefined) return
    await given.redis.xgroup('SETID', given.place.stream, given.place.group, to)
    const skipped = ahead.slice(0, ahead.indexOf(to) + 1)
    for (const id of skipped) {
      given.model.unread.delete(id)
      given.model.taken.add(id)
    }
  },
  async (given) => {
    const { redis, place, model } = given
    const { from } = await readLedger(redis, place)
    if (from === '') return
    await redis.call('XGROUP', ['SETID', place.stream, place.group, from])
    // By the command of the ledger: all entries after `from` come again, those that strangers took included.
    for (const [id] of await redis.xrange(place.stream, `(${from}`, '+')) {
      model.taken.delete(id)
      model.unread.add(id)
    }
    assert.ok(model.setBack || model.taken.size === 0, `entries before ${from} are unaccounted as well`)
    model.setBack = true
  },
  async ({ redis, place, random }) => await redis.xtrim(place.stream, 'MAXLEN', Math.floor(random() * 10)),
  async (given) => {
    const ids = (await present(given)).filter(() => given.random() < 0.2)
    if (ids.length > 0) await given.redis.xdel(given.place.stream, ...ids)
  },
]

test(`strangers in the group, over random histories (SEED=${seed})`, async (t) => {
  const redis = (await startRedis(t)).client() as Redis
  const random = randomFrom(seed)
  let [compared, exact] = [0, 0]
  for (let history = 0; compared < wanted; history++) {
    const stream = `h${history}`
    const place = { stream, group: 'g', deadLetters: `${stream}:dead`, maxDeadLetters: 1_000, keys: keySpace(stream, 'g') }
    const model: Model = { unread: new Set(), pending: new Set(), taken: new Set(), lost: 0, gone: 0, setBack: false }
    const given = { redis, place, model, random }
    await ensureGroup(redis, place.keys, { stream, group: 'g', startFrom: 'Beginning' })
    let before = { ...(await readLedger(redis, place)), truly: 0 }
    for (let n = 0; n < 30; n++) {
      const choice = Math.floor(random() * steps.length)
      await steps[choice]?.(given)
      await notice(given)
      const now = { ...(await readLedger(redis, place)), truly: model.lost }
      const { lost, unaccounted, undecided } = now
      const where = `history ${history}, step ${n} (${choice}): ${JSON.stringify({ before, now, taken: model.taken.size, gone: model.gone })}`
      assert.ok(unaccounted >= 0 && undecided >= 0 && unaccounted <= (await redis.xlen(stream)), where)
      if (lost === undefined) {
        before = now
        continue
      }
      compared += 1
      if (!model.setBack) {
        assert.ok(lost <= model.gone, `${where}: counts as lost what is in the stream`)
        assert.ok(model.taken.size <= unaccounted + undecided, `${where}: does not count what strangers took`)
      }
      if (before.lost !== undefined) {
        exact += 1
        assert.ok(lost >= before.lost, `${where}: loss fell`)
        // Undecided entries that left the stream count as lost then.
        assert.ok(lost - before.lost - (model.lost - before.truly) <= before.undecided, where)
        assert.ok(before.undecided > 0 || undecided > 0 || lost - before.lost === model.lost - before.truly, where)
      }
      before = now
    }
    await redis.del(stream, place.deadLetters, place.keys.stats)
  }
  t.diagnostic(`${compared} sums compared, ${exact} of them step by step`)
})
