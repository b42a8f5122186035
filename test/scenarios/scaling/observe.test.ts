import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { compilePipeline } from '../../../api/compile.ts'
import { StreamPipelineError } from '../../../api/errors.ts'
import { parsePipeline } from '../../../api/validate.ts'
import { keySpace } from '../../../redis/keys.ts'
import { streamPlace } from '../../../redis/placement.ts'
import { auditLedger } from '../../../redis/stream/ledger.ts'
import { observe } from '../../../sampling/observe.ts'
import { startRedis } from '../../support/redis.ts'
import { seed } from '../../support/seed.ts'

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

  it('reports undelivered, pending and their ages', async () => {
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

  it('counts entries that were delivered three times as quarantined, and leaves them out of the age', async () => {
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
    await redis.hset(keys.stats, 'base', 0, 'lost', 7)
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

  type Step = { readonly kind: 'add' | 'read' | 'delete' | 'claim' | 'trim'; readonly count: number }

  async function apply({ kind, count }: Step): Promise<void> {
    switch (kind) {
      case 'add':
        return void (await add(count))
      case 'read':
        return void (await read('c', count))
      case 'trim':
        return void (await redis.xtrim(stream, 'MAXLEN', '=', count))
      case 'delete':
      case 'claim': {
        const id = (await redis.xrange(stream, '-', '+'))[count]?.[0]
        if (id === undefined) return
        await (kind === 'delete' ? redis.xdel(stream, id) : redis.call('xclaim', stream, group, 'd', '0', id))
        return
      }
      default:
        kind satisfies never
    }
  }

  async function assertCounted(): Promise<void> {
    const groups = (await redis.call('xinfo', 'groups', stream)) as unknown[][]
    const left = await redis.xrange(stream, `(${String(groups[0]?.[7])}`, '+')
    const { undelivered, undeliveredExact } = await look()
    assert.deepEqual({ undelivered, undeliveredExact }, { undelivered: left.length, undeliveredExact: true })
  }

  const step = (kind: Step['kind'], max: number) => fc.record({ kind: fc.constant(kind), count: fc.integer({ min: 1, max }) })
  const fresh = async () => {
    await redis.flushall()
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  }

  it('counts exactly over random histories of any length with deletions', async () => {
    const steps = fc.oneof(
      { weight: 4, arbitrary: step('add', 40) },
      { weight: 3, arbitrary: step('read', 20) },
      step('delete', 400),
      step('claim', 400),
    )
    const property = fc.asyncProperty(fc.array(steps, { maxLength: 30 }), async (history) => {
      await fresh()
      for (const taken of history) await apply(taken)
      await assertCounted()
    })
    await fc.assert(property, { numRuns: 40, seed })
  })

  it('counts exactly a short backlog whatever was cut unread before', async () => {
    const steps = fc.oneof(
      { weight: 3, arbitrary: step('add', 4) },
      { weight: 2, arbitrary: step('read', 4) },
      step('delete', 60),
      step('trim', 10),
    )
    const property = fc.asyncProperty(fc.array(steps, { maxLength: 25 }), async (history) => {
      await fresh()
      for (const taken of history) await apply(taken)
      await assertCounted()
    })
    await fc.assert(property, { numRuns: 40, seed })
  })

  it('counts exactly a long backlog after entries were cut unread, by the ledger', async () => {
    const place = streamPlace(pipelineAt(url))
    const audited = async (taken: Step) => {
      await apply(taken)
      await auditLedger(redis, place)
    }
    await fresh()
    for (const taken of [
      { kind: 'add', count: 10 },
      { kind: 'read', count: 2 },
      { kind: 'trim', count: 3 },
      { kind: 'add', count: 300 },
      { kind: 'read', count: 100 },
    ] as const) {
      await audited(taken)
    }
    await assertCounted()
    assert.equal((await look()).lost, 5)
  })

  it('costs two commands, and one more where consumers are', async () => {
    await add(3)
    await redis.xgroup('CREATE', stream, group, '0')
    await look()
    const sentBy = async () => {
      await redis.config('RESETSTAT')
      await look()
      const stats = (await redis.info('commandstats')).matchAll(/^cmdstat_(evalsha|eval|multi|exec|mget):calls=(\d+)/gm)
      return Object.fromEntries([...stats].map(([, name = '', count]) => [name, Number(count)]))
    }
    assert.deepEqual(await sentBy(), { evalsha: 2 })
    await beat('c', 'u1')
    assert.deepEqual(await sentBy(), { evalsha: 2, mget: 1 })
  })

  it('reads few entries where they are large', async () => {
    await redis.pipeline(Array.from({ length: 40 }, () => ['xadd', stream, '*', 'a', 'x'.repeat(20_000)])).exec()
    await redis.xgroup('CREATE', stream, group, '0')
    await read('c', 1)
    const before = Number(/total_net_output_bytes:(\d+)/.exec(await redis.info('stats'))?.[1])
    assert.equal((await look()).undelivered, 39)
    const sent = Number(/total_net_output_bytes:(\d+)/.exec(await redis.info('stats'))?.[1]) - before
    assert.ok(sent < 300_000, String(sent))
  })
})
