import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { compilePipeline, parsePipeline } from '../../api/compile.ts'
import { StreamPipelineError } from '../../api/errors.ts'
import { keySpace } from '../../redis/keys.ts'
import { observe } from '../../scaling/observe.ts'
import { startRedis } from '../support/redis.ts'

const stream = 'ndvi:jobs'
const group = 'ndvi'
const keys = keySpace(stream, group)

const pipelineAt = (url: string, source: object = {}) =>
  compilePipeline(
    parsePipeline({
      apiVersion: 'streampipeline.dev/v1alpha1',
      kind: 'StreamPipeline',
      metadata: { name: 'ndvi' },
      spec: { redis: { url }, source: { stream, group, ...source }, sink: { bullmq: { queue: 'ndvi' } } },
    }),
  )

describe('observe, on a real Redis', () => {
  let redis: Redis
  let url: string
  const hooks: (() => Promise<void> | void)[] = []
  before(async () => {
    const server = await startRedis({ after: (hook) => hooks.push(() => hook(undefined)) })
    url = server.url
    redis = server.client()
  })
  after(async () => {
    for (const hook of hooks) await hook()
  })
  beforeEach(async () => {
    await redis.flushall()
  })

  const add = (count: number) => redis.pipeline(Array.from({ length: count }, () => ['xadd', stream, '*', 'job_id', '1'])).exec()
  const read = (consumer: string, count: number) =>
    redis.call('xreadgroup', 'group', group, consumer, 'count', String(count), 'streams', stream, '>')
  const look = () => observe(redis, pipelineAt(url))
  const beat = (name: string, uid: string, over: object = {}) =>
    redis
      .multi()
      .hset(keys.consumers, name, uid)
      .set(
        keys.consumer(name),
        JSON.stringify({
          uid,
          at: Date.now(),
          state: 'Running',
          inFlight: 0,
          serviceMs: 2,
          path: 'Portable',
          forwarded: 5,
          duplicates: 1,
          dead: 1,
          reclaimed: 0,
          ...over,
        }),
      )
      .exec()

  it('is calm where there is no stream', async () => {
    const sample = await look()
    assert.equal(sample.groupExists, false)
    assert.deepEqual([sample.undelivered, sample.pending, sample.oldestAgeMs, sample.deadLetters], [0, 0, 0, 0])
    assert.ok(Math.abs(sample.atMs - Date.now()) < 5_000)
  })

  it('counts what a group still to be made will read, or not read', async () => {
    await add(3)
    assert.equal((await look()).undelivered, 3)
    assert.equal((await observe(redis, pipelineAt(url, { startFrom: 'End' }))).undelivered, 0)
  })

  it('says which key is of another type', async () => {
    await redis.set(stream, 'x')
    await assert.rejects(look(), (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'WrongKeyType')
  })

  it('tells undelivered, pending and their ages', async () => {
    const { atMs } = await look()
    await redis.xadd(stream, `${atMs - 60_000}-0`, 'a', '1')
    await redis.xadd(stream, `${atMs - 20_000}-0`, 'a', '1')
    await redis.xgroup('CREATE', stream, group, '0')
    await read('c', 1)
    const sample = await look()
    assert.deepEqual([sample.undelivered, sample.pending, sample.orphaned, sample.entriesAdded], [1, 1, 0, 2])
    assert.ok(sample.undeliveredAgeMs >= 20_000 && sample.undeliveredAgeMs < 25_000)
    assert.ok(sample.pendingAgeMs >= 60_000 && sample.pendingAgeMs < 65_000)
    assert.equal(sample.oldestAgeMs, sample.pendingAgeMs)
  })

  it('sets entries delivered three times apart, from count and from age', async () => {
    const { atMs } = await look()
    await redis.xadd(stream, `${atMs - 90_000}-0`, 'a', '1')
    await redis.xadd(stream, `${atMs - 30_000}-0`, 'a', '1')
    await redis.xgroup('CREATE', stream, group, '0')
    await read('c', 2)
    await redis.call('xclaim', stream, group, 'c', '0', `${atMs - 90_000}-0`, 'RETRYCOUNT', '3')
    const sample = await look()
    assert.deepEqual([sample.pending, sample.quarantined, sample.orphaned], [2, 1, 0])
    assert.ok(sample.pendingAgeMs < 40_000)
  })

  it('looks past a page full of quarantined entries', async () => {
    await add(251)
    await redis.xgroup('CREATE', stream, group, '0')
    await read('c', 250)
    const ids = (await redis.xrange(stream, '-', '+', 'COUNT', 250)).map(([id]) => id)
    await redis.call('xclaim', stream, group, 'c', '0', ...ids, 'RETRYCOUNT', '4', 'JUSTID')
    await read('c', 1)
    const sample = await look()
    assert.equal(sample.quarantined, 250)
    assert.ok(sample.pendingAgeMs > 0)
  })

  it('counts what vanished and silent consumers hold as orphaned', async () => {
    await add(30)
    await redis.xgroup('CREATE', stream, group, '0')
    await read('alive', 10)
    await read('silent', 10)
    await beat('alive', 'u1')
    const ids = (await redis.xrange(stream, '-', '+')).map(([id]) => id)
    await redis.call('xclaim', stream, group, 'silent', '0', ...ids.slice(10, 14), 'IDLE', '70000', 'JUSTID')
    const sample = await look()
    assert.deepEqual([sample.pending, sample.orphaned, sample.undelivered], [20, 4, 10])
    const alive = sample.consumers.find((consumer) => consumer.name === 'alive')
    assert.deepEqual([alive?.uid, alive?.pending, alive?.heartbeat?.forwarded, alive?.heartbeat?.state], ['u1', 10, 5, 'Running'])
    assert.equal(sample.consumers.find((consumer) => consumer.name === 'silent')?.heartbeat, undefined)
  })

  it('does not take a predecessor’s heartbeat for the present process’s, nor break on foreign text', async () => {
    await add(1)
    await redis.xgroup('CREATE', stream, group, '0')
    await beat('c', 'old')
    await redis.hset(keys.consumers, 'c', 'new', 'd', 'u2')
    await redis.set(keys.consumer('d'), 'not JSON')
    const sample = await look()
    assert.deepEqual(
      sample.consumers.map((consumer) => [consumer.name, consumer.heartbeat]),
      [
        ['c', undefined],
        ['d', undefined],
      ],
    )
  })

  it('counts dead letters, losses and waiting jobs of every kind', async () => {
    await redis.xadd(pipelineAt(url).deadLetter.stream, '*', 'a', '1')
    await redis.hset(keys.stats, 'lost', 7)
    await redis.rpush('bull:ndvi:wait', '1', '2')
    await redis.zadd('bull:ndvi:prioritized', 1, '3')
    const sample = await look()
    assert.deepEqual([sample.deadLetters, sample.lost, sample.queueWaiting], [1, 7, 3])
  })

  it('says that ids are not times', async () => {
    await redis.xadd(stream, '1-1', 'a', '1')
    await redis.xgroup('CREATE', stream, group, '0')
    const sample = await look()
    assert.deepEqual([sample.timeIds, sample.undelivered, sample.undeliveredAgeMs], [false, 1, 0])
  })

  it('counts where lag is null after an XDEL ahead of the cursor', async () => {
    await add(20)
    await redis.xgroup('CREATE', stream, group, '0')
    await read('c', 5)
    const ids = (await redis.xrange(stream, '-', '+')).map(([id]) => id)
    await redis.xdel(stream, ids[10] ?? '', ids[11] ?? '')
    const sample = await look()
    assert.deepEqual([sample.undelivered, sample.undeliveredExact], [13, true])
  })

  it('estimates a long backlog whose lag is null', async () => {
    const { atMs } = await look()
    const spread = Array.from({ length: 5_000 }, (_, i) => ['xadd', stream, `${atMs - 50_000 + i * 10}-0`, 'a', '1'])
    await redis.pipeline(spread).exec()
    await redis.xgroup('CREATE', stream, group, '0')
    await read('c', 1)
    const [[third] = ['']] = await redis.xrange(stream, `${atMs - 49_900}-0`, '+', 'COUNT', 1)
    await redis.xdel(stream, third)
    const sample = await look()
    assert.equal(sample.undeliveredExact, false)
    assert.ok(Math.abs(sample.undelivered - 4_998) < 50, String(sample.undelivered))
  })

  it('counts exactly over random histories', async () => {
    const operations = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.record({ kind: fc.constant('add' as const), count: fc.integer({ min: 1, max: 20 }) }) },
        { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), count: fc.integer({ min: 1, max: 10 }) }) },
        fc.record({ kind: fc.constant('delete' as const), at: fc.nat(200) }),
        fc.record({ kind: fc.constant('claim' as const), at: fc.nat(200) }),
      ),
      { maxLength: 25 },
    )
    const property = fc.asyncProperty(operations, async (history) => {
      await redis.flushall()
      await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
      for (const step of history) {
        if (step.kind === 'add') await add(step.count)
        if (step.kind === 'read') await read('c', step.count)
        if (step.kind !== 'delete' && step.kind !== 'claim') continue
        const id = (await redis.xrange(stream, '-', '+'))[step.at]?.[0]
        if (id === undefined) continue
        if (step.kind === 'delete') await redis.xdel(stream, id)
        else await redis.call('xclaim', stream, group, 'd', '0', id)
      }
      const groups = (await redis.call('xinfo', 'groups', stream)) as unknown[][]
      const cursor = String(groups[0]?.[7])
      const left = await redis.xrange(stream, `(${cursor}`, '+')
      assert.equal((await look()).undelivered, left.length)
    })
    await fc.assert(property, { numRuns: 60 })
  })
})
