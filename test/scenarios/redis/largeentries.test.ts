/** Scripts that only ask whether entries are still there hold Redis for a moment, however large the entries are. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { Redis } from 'ioredis'
import { handBackEntries, renewEntries } from '../../../redis/stream/pending.ts'
import { reapConsumer } from '../../../redis/stream/reaping.ts'
import { placeNamed } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { startRedis } from '../../support/redis.ts'

const place = placeNamed('{large}:jobs')
const { stream, group, keys } = place
const count = 500
const idleMs = 60_000
/** 500 entries take 2 ms where no payload is copied. Where payloads are copied, they take a hundred and more. */
const heldAtMostMs = 50

let redis: Redis
let ids: readonly string[]
const scope = fileScope()
before(async () => {
  redis = (await startRedis(scope)).client()
  await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  const body = 'x'.repeat(256 * 1024 - 100)
  for (let i = 0; i < count; i++) await redis.xadd(stream, '*', 'p', body)
  // Read within Redis: their bytes need not come here.
  await redis.eval(
    `for i = 1, ARGV[2] do redis.call('XREADGROUP', 'GROUP', ARGV[1], 'gone', 'COUNT', 1, 'STREAMS', KEYS[1], '>') end`,
    1,
    stream,
    group,
    count,
  )
  const rows = (await redis.xpending(stream, group, '-', '+', count, 'gone')) as unknown[][]
  ids = rows.map(([id]) => String(id))
  assert.equal(ids.length, count)
  await redis.config('SET', 'slowlog-log-slower-than', '0')
})

/** How long one command held Redis at most, in the best of three runs: a busy machine may stop Redis itself. */
async function longestMs(work: () => Promise<unknown>): Promise<number> {
  const longest: number[] = []
  for (let run = 0; run < 3; run++) {
    await redis.call('XCLAIM', stream, group, 'gone', '0', ...ids, 'IDLE', '0', 'JUSTID')
    await redis.call('SLOWLOG', 'RESET')
    await work()
    const slow = (await redis.call('SLOWLOG', 'GET', '-1')) as [id: number, at: number, micros: number][]
    longest.push(Math.max(...slow.map(([, , micros]) => micros)) / 1_000)
  }
  return Math.min(...longest)
}

const works: [what: string, work: () => Promise<unknown>][] = [
  ['renewing', () => renewEntries(redis, place, 'gone', ids)],
  ['handing back', () => handBackEntries(redis, place, 'gone', idleMs)],
  [
    'reaping',
    async () => {
      await redis.hset(keys.consumers, 'gone', 'p/1')
      await reapConsumer(redis, place, { name: 'gone', uid: 'p/1', minIdleMs: idleMs, requireExpiredHeartbeat: false })
    },
  ],
]
for (const [what, work] of works) {
  test(`${what} ${count} entries of 256 KiB holds Redis for ${heldAtMostMs} ms at most`, async () => {
    const held = await longestMs(work)
    assert.ok(held <= heldAtMostMs, `one command held Redis for ${held} ms`)
  })
}
