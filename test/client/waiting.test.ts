/** Waiting for what becomes of a request: by events, and by its state where events were missed. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { StreamPipelineError } from '../../api/errors.ts'
import { createDispatcher } from '../../client/dispatcher.ts'
import { createWorker } from '../../client/worker.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { type NdviRequest, ndviPipeline, ndviRequest, startConsumer } from './ndvi.ts'

async function open(t: TestContext, { mode = 'Direct' as 'Stream' | 'Direct', elsewhere = false, keep = true } = {}) {
  const server = await startRedis(t)
  const queueServer = elsewhere ? await startRedis(t) : server
  const pipeline = ndviPipeline(server.url, (spec) => {
    spec.mode = mode
    if (elsewhere) spec.sink.bullmq.redis = { url: queueServer.url }
    spec.sink.bullmq.jobOptions = { attempts: 1, removeOnComplete: keep ? {} : { count: 0 } }
  })
  const dispatcher = createDispatcher<NdviRequest>({ pipeline, env: {} })
  t.after(() => dispatcher.close())
  return { server, queueServer, pipeline, dispatcher }
}

async function work(t: TestContext, redis: string, run: (request: NdviRequest) => Promise<unknown>) {
  const worker = createWorker<NdviRequest>({ queue: 'ndvi', redis, concurrency: 50, execute: run })
  t.after(() => worker.close())
  await worker.start()
  return worker
}

/** A way to the server that can be closed: connections end, and new ones end at once. */
async function openWay(t: TestContext, server: RedisServer) {
  const sockets = new Set<Socket>()
  let isOpen = true
  const listener = createServer((near) => {
    near.on('error', () => undefined)
    if (!isOpen) return void near.destroy()
    const far = connect(server.port, server.host).on('error', () => undefined)
    near.pipe(far).pipe(near)
    near.once('close', () => far.destroy())
    sockets.add(near)
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.after(() => {
    cut()
    listener.close()
  })
  return {
    url: `redis://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    close() {
      isOpen = false
      cut()
    },
    open() {
      isOpen = true
    },
  }
}

/** Connections that block in XREAD. */
async function blocked({ client }: RedisServer): Promise<number> {
  const list = String(await client().call('CLIENT', 'LIST'))
  return [...list.matchAll(/flags=b\S* .*cmd=xread /g)].length
}

test('a result, from a job that is not kept, through one blocking connection for many waits', async (t) => {
  const { server, dispatcher } = await open(t, { keep: false })
  const results = await dispatcher.dispatchMany(Array.from({ length: 40 }, (_, id) => ndviRequest(id + 1)))
  const waits = results.map((result) => dispatcher.waitFor(result))
  await eventually(async () => assert.equal(await blocked(server), 1))
  await work(t, server.url, async ({ job_id }) => ({ job_id }))
  assert.deepEqual(
    await Promise.all(waits),
    results.map((_, index) => ({ outcome: 'completed', result: { job_id: index + 1 } })),
  )
  const [first] = results
  assert.ok(first !== undefined)
  assert.deepEqual(await dispatcher.waitFor(first), { outcome: 'notKept' })
})

test('through the stream: a result, a failure, and a dead letter that never became a job', async (t) => {
  const { server, pipeline, dispatcher } = await open(t, { mode: 'Stream' })
  const results = await dispatcher.dispatchMany([ndviRequest(1), ndviRequest(2)])
  const broken = String(await server.client().xadd('ndvi:jobs', '*', 'job_id', 'one'))
  const waits = [...results, broken].map((name) => dispatcher.waitFor(name))
  // Before anything was forwarded.
  await eventually(async () => assert.equal(await blocked(server), 1))
  await work(t, server.url, async ({ job_id }) => {
    if (job_id === 2) throw new Error('no imagery')
    return job_id
  })
  const consumer = await startConsumer(t, pipeline)
  const [done, failed, dead] = await Promise.all(waits)
  assert.deepEqual(done, { outcome: 'completed', result: 1 })
  assert.deepEqual(failed, { outcome: 'failed', error: 'no imagery' })
  assert.ok(dead?.outcome === 'dead')
  assert.deepEqual([dead.dead.entry, dead.dead.reason], [broken, 'SchemaViolation'])
  await consumer.stop('SIGTERM')
})

test('the queue elsewhere takes a second blocking connection; what has ended before is known at once', async (t) => {
  const { server, queueServer, dispatcher } = await open(t, { elsewhere: true })
  const result = await dispatcher.dispatch(ndviRequest(1))
  const waiting = dispatcher.waitFor(result)
  await eventually(async () => assert.deepEqual(await Promise.all([blocked(server), blocked(queueServer)]), [1, 1]))
  await work(t, queueServer.url, async () => 'done')
  assert.deepEqual(await waiting, { outcome: 'completed', result: 'done' })
  assert.deepEqual(await dispatcher.waitFor(result.jobId), { outcome: 'completed', result: 'done' })
})

test('time is up, the signal aborts, the dispatcher closes: each ends a wait, and says where the request is', async (t) => {
  const { dispatcher } = await open(t)
  const result = await dispatcher.dispatch(ndviRequest(1))
  const late = await dispatcher.waitFor(result, { timeoutMs: 50 })
  assert.ok(late.outcome === 'timeout')
  assert.equal(late.status.state, 'Waiting')
  const abort = new AbortController()
  const left = dispatcher.waitFor(result, { signal: abort.signal })
  abort.abort(new Error('enough'))
  await assert.rejects(left, /enough/)
  const closed = assert.rejects(
    dispatcher.waitFor(result),
    (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'Closed',
  )
  await dispatcher.close()
  await closed
})

test('events that were lost with the connection, or trimmed, are made up for by the state', async (t) => {
  const server = await startRedis(t)
  const way = await openWay(t, server)
  const pipeline = ndviPipeline(way.url, (spec) => {
    spec.mode = 'Direct'
  })
  const dispatcher = createDispatcher<NdviRequest>({ pipeline, env: {}, onError: () => undefined })
  t.after(() => dispatcher.close())
  const result = await dispatcher.dispatch(ndviRequest(1))
  const waiting = dispatcher.waitFor(result)
  await eventually(async () => assert.equal(await blocked(server), 1))
  way.close()
  const worker = await work(t, server.url, async () => 'meanwhile')
  const queue = new Queue('ndvi', { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  await eventually(async () => assert.equal(await (await queue.getJob(result.jobId))?.getState(), 'completed'))
  await worker.close()
  await queue.trimEvents(0)
  await sleep(1_500)
  way.open()
  assert.deepEqual(await waiting, { outcome: 'completed', result: 'meanwhile' })
})

test('a job that is removed ends the wait for it', async (t) => {
  const { server, dispatcher } = await open(t)
  const result = await dispatcher.dispatch(ndviRequest(1))
  const waiting = dispatcher.waitFor(result)
  await eventually(async () => assert.equal(await blocked(server), 1))
  const queue = new Queue('ndvi', { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  await queue.remove(result.jobId)
  assert.deepEqual(await waiting, { outcome: 'notKept' })
})

test('a dispatcher that is closed at once, and a signal that has aborted, leave no connection', async (t) => {
  const { server, dispatcher } = await open(t)
  const result = await dispatcher.dispatch(ndviRequest(1))
  await assert.rejects(dispatcher.waitFor(result, { signal: AbortSignal.abort(new Error('before')) }), /before/)
  assert.equal(await blocked(server), 0)
  const waiting = dispatcher.waitFor(result)
  const closing = dispatcher.close()
  await assert.rejects(waiting, { code: 'Closed' })
  await closing
  assert.equal(await blocked(server), 0)
})

test('a time that no timer takes is refused', async (t) => {
  const { dispatcher } = await open(t)
  const result = await dispatcher.dispatch(ndviRequest(1))
  for (const timeoutMs of [Number.POSITIVE_INFINITY, Number.NaN, -1, 2 ** 31])
    await assert.rejects(dispatcher.waitFor(result, { timeoutMs }), { code: 'InvalidOption' })
})
