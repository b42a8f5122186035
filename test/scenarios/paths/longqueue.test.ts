/**
 * A long queue makes no command slow: a duplicate whose mark is gone is judged by its job's own note, whatever the number of jobs that wait.
 * STREAMPIPELINE_WAITING=1000000 is the long form.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Redis } from 'ioredis'
import { forwardWays, kindsOf, type OpenPath, openPath } from '../../paths/fixture.ts'
import { startRedis } from '../../support/redis.ts'

const waiting = Number(process.env['STREAMPIPELINE_WAITING'] ?? 200_000)
/** As a server logs commands that hold it. On a loaded machine a command may lose its core meanwhile: the best of some tries counts. */
const slowMicroseconds = 2_000
const tries = 5

/** Other jobs of the queue, half of them before the next one and half behind it. */
async function fill(redis: Redis, key: string, jobs: number, side: 'lpush' | 'rpush'): Promise<void> {
  const name = 'x'.repeat(60)
  for (let at = 0; at < jobs; at += 10_000) {
    await redis[side](key, ...Array.from({ length: Math.min(10_000, jobs - at) }, (_, index) => `${name}${side}${at + index}`))
  }
}

/** The slowest command while `work` runs, in microseconds, and how often LPOS was called. */
async function cost(redis: Redis, work: () => Promise<void>): Promise<{ readonly slowest: number; readonly searches: number }> {
  await redis.config('SET', 'slowlog-log-slower-than', String(slowMicroseconds))
  await redis.config('RESETSTAT')
  await redis.slowlog('RESET')
  await work()
  const log = (await redis.slowlog('GET', 10)) as [number, number, number][]
  const stats = await redis.info('commandstats')
  await redis.config('SET', 'slowlog-log-slower-than', '-1')
  return {
    slowest: Math.max(0, ...log.map(([, , microseconds]) => microseconds)),
    searches: Number(/cmdstat_lpos:calls=(\d+)/.exec(stats)?.[1] ?? 0),
  }
}

const keysOf = (count: number) => Array.from({ length: count }, (_, index) => `k${index}`)

async function withoutMarks(path: OpenPath, keys: readonly string[]): Promise<void> {
  await path.queueClient.del(...keys.map(path.mark))
  await path.putKeys(...keys)
}

describe(`${waiting} jobs wait`, () => {
  for (const { kind, add } of forwardWays) {
    test(`${kind}, ${add}: duplicates without marks are judged without a search, and no command is slow`, async (t) => {
      const servers = { stream: await startRedis(t), queue: await startRedis(t) }
      const path = await openPath(t, kind, servers, { add })
      const keys = keysOf(100)
      await path.putKeys(...keys)
      assert.deepEqual(new Set(kindsOf(await path.settle(await path.read()))), new Set(['forwarded']))
      for (const side of ['lpush', 'rpush'] as const) await fill(path.queueClient, `${path.queueKey}wait`, waiting / 2, side)
      let slowest = Number.POSITIVE_INFINITY
      for (let tried = 0; tried < tries && slowest > 0; tried++) {
        await withoutMarks(path, keys)
        await path.putKeys(`new ${tried}`)
        const entries = await path.read()
        const found = await cost(path.queueClient, async () => {
          const kinds = kindsOf(await path.settle(entries))
          assert.deepEqual(kinds, [...keys.map(() => 'duplicate'), 'forwarded'])
        })
        assert.equal(found.searches, 0)
        slowest = Math.min(slowest, found.slowest)
      }
      assert.equal(slowest, 0, `a command took ${slowest} µs`)
      assert.equal(await path.queueClient.exists(...keys.map(path.mark)), keys.length)
    })
  }

  // The portable path writes the note only where it has found the job in a list.
  for (const { kind, add } of forwardWays.filter(({ kind }) => kind !== 'Portable')) {
    test(`${kind}, ${add}: a job that is stored, but neither put into a list nor deleted, is added by the next delivery`, async (t) => {
      const servers = { stream: await startRedis(t), queue: await startRedis(t) }
      const path = await openPath(t, kind, servers, { add })
      const admin = kind === 'Split' ? servers.queue.client() : servers.stream.client()
      await fill(path.queueClient, `${path.queueKey}wait`, 2_000, 'rpush')
      await path.putKeys('a')
      const entries = await path.read()
      await admin.call('ACL', 'SETUSER', 'default', '-lpush', '-rpush', '-del', '-unlink')
      const refused = await path.settle(entries).then(kindsOf, () => ['refused'])
      await admin.call('ACL', 'SETUSER', 'default', '+@all')
      assert.notDeepEqual(refused, ['forwarded'])
      assert.equal(await path.queueClient.lpos(`${path.queueKey}wait`, path.id('a')), null)
      assert.deepEqual(kindsOf(await path.settle(entries)), ['forwarded'])
      assert.equal((await path.queueClient.lrange(`${path.queueKey}wait`, 0, -1)).filter((id) => id === path.id('a')).length, 1)
    })
  }

  test('jobs of an earlier release have no such note: they are searched once', async (t) => {
    const server = await startRedis(t)
    const path = await openPath(t, 'Atomic', { stream: server, queue: server })
    await path.putKeys('old', 'left')
    await path.settle(await path.read())
    await fill(path.queueClient, `${path.queueKey}wait`, 2_000, 'rpush')
    for (const key of ['old', 'left']) await path.queueClient.hdel(path.jobKey(key), 'spAdded')
    await path.queueClient.lrem(`${path.queueKey}wait`, 0, path.id('left'))
    const judged = async (keys: readonly string[]) => {
      await withoutMarks(path, keys)
      const entries = await path.read()
      let kinds: readonly string[] = []
      const { searches } = await cost(path.queueClient, async () => {
        kinds = kindsOf(await path.settle(entries))
      })
      return { kinds, searched: searches > 0 }
    }
    assert.deepEqual(await judged(['old', 'left']), { kinds: ['duplicate', 'forwarded'], searched: true })
    assert.deepEqual(await judged(['old', 'left']), { kinds: ['duplicate', 'duplicate'], searched: false })
  })
})
