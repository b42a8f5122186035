import { type ForwardItem, jsonOf } from '../../../redis/bullmq/item.ts'
import type { ForwardTarget } from '../../../redis/placement.ts'
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import { Queue, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { CompiledJobOptions } from '../../../api/compiled.ts'
import { StreamPipelineError } from '../../../api/errors.ts'
import { jobId, keySpace } from '../../../redis/keys.ts'
import { createPortableForwarder } from '../../../redis/settle/forwarders/portable.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let server: RedisServer
let redis: Redis
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
  redis = server.client({ maxRetriesPerRequest: null })
})

let queues = 0
function open(
  t: TestContext,
  over: Partial<ForwardTarget> = {},
  options: Partial<CompiledJobOptions> = {},
  clock?: () => number,
) {
  const name = `q${++queues}`
  const target: ForwardTarget = {
    queue: name,
    prefix: 'bull',
    jobName: 'compute',
    jobOptions: { attempts: 3, removeOnComplete: true, removeOnFail: false, ...options },
    windowMs: 60_000,
    lockTtlMs: 10_000,
    keys: keySpace(`stream-${name}`, 'ndvi'),
    ...over,
  }
  const forwarder = createPortableForwarder(redis, target, clock)
  const queue = new Queue(name, { connection: server.client({ maxRetriesPerRequest: null }), skipMetasUpdate: true })
  queue.on('error', () => undefined)
  t.after(async () => {
    await forwarder.close()
    await queue.close()
  })
  const kinds = async (...hashes: string[]) =>
    (await forwarder.forward(hashes.map((hash) => item(hash)))).outcomes.map(({ kind }) => kind)
  const job = (hash: string) => queue.getJob(jobId(target.keys.scope, hash))
  return { forwarder, target, queue, kinds, job, id: (hash: string) => jobId(target.keys.scope, hash) }
}

const item = (hash: string, more: Partial<ForwardItem> = {}): ForwardItem => ({
  hash,
  json: jsonOf({ hash }),
  trace: {},
  ...more,
})

async function finish(t: TestContext, name: string, options: object = {}) {
  const worker = new Worker(name, async () => 'done', { connection: server.client({ maxRetriesPerRequest: null }), ...options })
  worker.on('error', () => undefined)
  t.after(() => worker.close())
  return worker
}

test('forwards once: then a mark, for the window, and the lock let go', async (t) => {
  const { kinds, target, job, forwarder } = open(t)
  assert.deepEqual(await kinds('a', 'b'), ['Forwarded', 'Forwarded'])
  const made = await job('a')
  assert.deepEqual([made?.name, made?.data, made?.opts.attempts], ['compute', { hash: 'a' }, 3])
  assert.equal(await redis.exists(target.keys.lock('a')), 0)
  const ttl = await redis.pttl(target.keys.mark('a'))
  assert.ok(ttl > 50_000 && ttl <= 60_000)
  assert.deepEqual(await kinds('a', 'c', 'b'), ['Duplicate', 'Forwarded', 'Duplicate'])
  assert.equal(await forwarder.waiting(), 3)
})

test('one key several times in a batch: one job', async (t) => {
  const { kinds, queue } = open(t)
  assert.deepEqual(await kinds('a', 'b', 'a', 'a'), ['Forwarded', 'Forwarded', 'Duplicate', 'Duplicate'])
  assert.equal(await queue.getWaitingCount(), 2)
})

test('a mark outlives its job', async (t) => {
  const { kinds, queue, target } = open(t)
  await kinds('a')
  await finish(t, target.queue)
  await eventually(async () => (await redis.exists(`bull:${target.queue}:${jobId(target.keys.scope, 'a')}`)) === 0)
  assert.deepEqual(await kinds('a'), ['Duplicate'])
  assert.equal(await queue.getWaitingCount(), 0)
})

test('a foreign lock means contended, and stays', async (t) => {
  const { kinds, target, queue } = open(t)
  await redis.set(target.keys.lock('a'), 'foreign', 'PX', 60_000)
  assert.deepEqual(await kinds('a', 'b', 'a'), ['Contended', 'Forwarded', 'Contended'])
  assert.equal(await redis.get(target.keys.lock('a')), 'foreign')
  await redis.del(target.keys.lock('a'))
  assert.deepEqual(await kinds('a'), ['Forwarded'])
  assert.equal(await queue.getWaitingCount(), 2)
})

test('a batch that took too long to lock adds nothing', async (t) => {
  let now = 0
  const { kinds, queue, target } = open(t, { lockTtlMs: 1_000 }, {}, () => (now += 600))
  assert.deepEqual(await kinds('a'), ['Contended'])
  assert.equal(await queue.getWaitingCount(), 0)
  assert.equal(await redis.exists(target.keys.lock('a')), 0)
})

test('a live job without a mark is a duplicate, and is marked anew', async (t) => {
  const { kinds, target, queue } = open(t)
  await kinds('a')
  await redis.del(target.keys.mark('a'))
  assert.deepEqual(await kinds('a'), ['Duplicate'])
  assert.ok((await redis.pttl(target.keys.mark('a'))) > 50_000)
  assert.equal(await queue.getWaitingCount(), 1)
})

test('a finished job within the window is a duplicate for the rest of it; an older one makes way', async (t) => {
  const { kinds, target, id, queue } = open(t, {}, { removeOnComplete: false })
  await kinds('a')
  const worker = await finish(t, target.queue)
  await eventually(async () => (await queue.getCompletedCount()) === 1)
  await worker.close()
  await redis.del(target.keys.mark('a'))
  const key = `bull:${target.queue}:${id('a')}`
  await redis.hset(key, { timestamp: Date.now() - 90_000, finishedOn: Date.now() - 30_000 })
  assert.deepEqual(await kinds('a'), ['Duplicate'])
  const rest = await redis.pttl(target.keys.mark('a'))
  assert.ok(rest > 20_000 && rest <= 30_000, String(rest))
  await redis.del(target.keys.mark('a'))
  await redis.hset(key, 'finishedOn', Date.now() - 61_000)
  assert.deepEqual(await kinds('a'), ['Forwarded'])
  assert.deepEqual([await queue.getWaitingCount(), await queue.getCompletedCount()], [1, 0])
})

test('what BullMQ refuses is rejected, with its reason, and leaves no mark', async (t) => {
  const { kinds, target, queue } = open(t, {}, { priority: 2_097_153 })
  assert.deepEqual(await kinds('a'), ['Rejected'])
  assert.equal(await redis.exists(target.keys.mark('a'), target.keys.lock('a')), 0)
  assert.equal(await queue.getPrioritizedCount(), 0)
})

test('priority, delay and lifo reach BullMQ', async (t) => {
  const prioritized = open(t, {}, { priority: 5 })
  await prioritized.kinds('a')
  assert.equal(await prioritized.queue.getPrioritizedCount(), 1)
  assert.equal(await prioritized.forwarder.waiting(), 1)
  const delayed = open(t, {}, { delay: 60_000 })
  await delayed.kinds('a')
  assert.equal(await delayed.queue.getDelayedCount(), 1)
  const lifo = open(t, {}, { lifo: true, backoff: { type: 'exponential', delay: 1_000 } })
  await lifo.kinds('a')
  await lifo.kinds('b')
  const next = await redis.lrange(`bull:${lifo.target.queue}:wait`, -1, -1)
  assert.deepEqual(next, [lifo.id('b')])
  assert.deepEqual((await lifo.job('a'))?.opts.backoff, { type: 'exponential', delay: 1_000 })
})

test('trace context travels where BullMQ’s telemetry looks for it, the origin in the mark', async (t) => {
  const { forwarder, job, target } = open(t)
  const trace = { traceparent: '00-a-b-01', tracestate: 'x=y' }
  await forwarder.forward([item('a', { trace, origin: '7-1' })])
  const made = await job('a')
  assert.deepEqual(JSON.parse(made?.opts.telemetry?.metadata ?? ''), trace)
  assert.equal(await redis.get(target.keys.mark('a')), '7-1')
})

test('two forwarders racing over the same 500 keys make each job once', async (t) => {
  const first = open(t)
  const other = createPortableForwarder(server.client({ maxRetriesPerRequest: null }), first.target)
  t.after(() => other.close())
  const hashes = Array.from({ length: 500 }, (_, i) => `k${i}`)
  let forwarded = 0
  const drive = async (forwarder: typeof other, order: string[]) => {
    let rest = order
    while (rest.length > 0) {
      const batch = rest.slice(0, 50)
      const { outcomes } = await forwarder.forward(batch.map((hash) => item(hash)))
      forwarded += outcomes.filter(({ kind }) => kind === 'Forwarded').length
      rest = [...rest.slice(50), ...batch.filter((_, index) => outcomes[index]?.kind === 'Contended')]
    }
  }
  await Promise.all([
    drive(first.forwarder, hashes),
    drive(other, hashes.toReversed()),
    drive(first.forwarder, hashes.toReversed()),
  ])
  assert.equal(forwarded, 500)
  assert.equal(await first.queue.getWaitingCount(), 500)
  assert.equal((await redis.keys(`${first.target.keys.prefix}lock:*`)).length, 0)
})

test('a job that half failed is not marked; repaired, the batch goes through once', async (t) => {
  const { kinds, target, queue } = open(t)
  await redis.set(`bull:${target.queue}:wait`, 'litter')
  await assert.rejects(kinds('a'), (thrown) => thrown instanceof StreamPipelineError && thrown.retryable)
  await redis.del(`bull:${target.queue}:wait`)
  await kinds('b')
  assert.ok((await queue.getWaitingCount()) >= 1)
})

test('without memory: a catalogued failure, then all goes through', async (t) => {
  const { kinds, queue } = open(t)
  await kinds('warm')
  await redis.config('SET', 'maxmemory', '1')
  try {
    await assert.rejects(kinds('a', 'b'), (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'RedisOutOfMemory')
  } finally {
    await redis.config('SET', 'maxmemory', '0')
  }
  assert.deepEqual(await kinds('a', 'b'), ['Forwarded', 'Forwarded'])
  assert.equal(await queue.getWaitingCount(), 3)
})

test('a server that was made to forget its scripts costs nothing', async (t) => {
  const { kinds, queue } = open(t)
  await kinds('a')
  for (const hash of ['b', 'c']) {
    await redis.script('FLUSH')
    assert.deepEqual(await kinds(hash), ['Forwarded'])
  }
  assert.equal(await queue.getWaitingCount(), 3)
})
