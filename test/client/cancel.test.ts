/** Cancelling what has not begun: in the stream, in the queue, and not at all once it is at work. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Queue } from 'bullmq'
import { compilePipeline } from '../../api/compile.ts'
import { parsePipeline } from '../../api/validate.ts'
import { createDispatcher } from '../../client/dispatcher.ts'
import { createWorker } from '../../client/worker.ts'
import { dispatchConfigOf } from '../../redis/dispatchconfig.ts'
import { targetOf } from '../../redis/placement.ts'
import { alterScripts } from '../paths/alteration.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { type NdviRequest, ndviPipeline, ndviRequest, startConsumer } from './ndvi.ts'

async function open(t: TestContext, mode: 'Stream' | 'Direct', isAltered = false) {
  const server = await startRedis(t)
  const pipeline = ndviPipeline(server.url, (spec) => {
    spec.mode = mode
    spec.sink.bullmq.allow = { maxDelay: '1h', priority: {} }
    spec.sink.bullmq.jobOptions = { attempts: 3, backoff: { type: 'Fixed', delay: '1h' } }
  })
  const altered = server.client({ maxRetriesPerRequest: 1 })
  if (isAltered) alterScripts(altered, (lua) => `-- of another version\n${lua}`)
  const dispatcher = createDispatcher<NdviRequest>({
    ...{ pipeline, env: {}, onError: () => undefined },
    ...(isAltered && { redis: altered }),
  })
  t.after(() => dispatcher.close())
  const queue = new Queue('ndvi', { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  return { server, pipeline, dispatcher, queue }
}

const planOf = (url: string) => dispatchConfigOf(compilePipeline(parsePipeline(ndviPipeline(url))))

async function work(t: TestContext, redis: string, run: (request: NdviRequest) => Promise<unknown>) {
  const worker = createWorker<NdviRequest>({ queue: 'ndvi', redis, execute: run })
  t.after(() => worker.close())
  await worker.start()
}

for (const isAltered of [false, true]) {
  const by = isAltered ? 'a BullMQ whose scripts are not known' : 'the composed script'
  test(`in the queue, by ${by}: waiting, delayed and prioritised jobs go, and the key stays taken`, async (t) => {
    await cancelAll(await open(t, 'Direct', isAltered))
  })
}

async function cancelAll({ dispatcher, queue }: Awaited<ReturnType<typeof open>>) {
  const options = [{}, { delay: 60_000 }, { priority: 2 }]
  const results = await dispatcher.dispatchMany([ndviRequest(1), ndviRequest(2), ndviRequest(3)], options)
  for (const [index, result] of results.entries()) {
    const waiting = dispatcher.waitFor(result)
    assert.equal((await dispatcher.cancel(result)).outcome, 'cancelled')
    assert.equal(await queue.getJob(result.jobId), undefined)
    assert.deepEqual(await waiting, { outcome: 'cancelled' })
    assert.equal((await dispatcher.status(result)).state, 'Cancelled')
    const again = await dispatcher.dispatch(ndviRequest(index + 1))
    assert.ok(again.mode === 'Direct' && again.outcome === 'duplicate')
    assert.equal((await dispatcher.cancel(result)).outcome, 'cancelled')
  }
  assert.equal(await queue.getJobCountByTypes('waiting', 'delayed', 'prioritized'), 0)
}

test('in the stream: an entry that no consumer had makes no job, and counts as a duplicate', async (t) => {
  const { server, pipeline, dispatcher, queue } = await open(t, 'Stream')
  const [cancelled, kept] = await dispatcher.dispatchMany([ndviRequest(1), ndviRequest(2)])
  assert.ok(cancelled !== undefined && kept !== undefined)
  const waiting = dispatcher.waitFor(cancelled)
  assert.equal((await dispatcher.cancel(cancelled)).outcome, 'cancelled')
  assert.deepEqual(await waiting, { outcome: 'cancelled' })
  const consumer = await startConsumer(t, pipeline)
  await eventually(async () => assert.ok(await queue.getJob(kept.jobId)))
  await eventually(async () => assert.equal((await server.client().xpending('ndvi:jobs', 'ndvi'))[0], 0))
  assert.equal(await queue.getJob(cancelled.jobId), undefined)
  await eventually(async () => assert.equal((await dispatcher.status(cancelled)).state, 'Cancelled'))
  await consumer.stop('SIGTERM')
})

test('what has begun, has ended, or is not known is left alone', async (t) => {
  const { server, dispatcher, queue } = await open(t, 'Direct')
  const held = Promise.withResolvers<void>()
  const [slow, failing, done] = await dispatcher.dispatchMany([ndviRequest(1), ndviRequest(2), ndviRequest(3)])
  assert.ok(slow && failing && done)
  await work(t, server.url, async ({ job_id }) => {
    if (job_id === 1) await held.promise
    if (job_id === 2) throw new Error('again later')
  })
  await eventually(async () => assert.equal((await dispatcher.status(slow)).state, 'Active'))
  assert.equal((await dispatcher.cancel(slow)).outcome, 'begun')
  held.resolve()
  await eventually(async () => assert.equal((await dispatcher.status(failing)).state, 'Delayed'))
  assert.equal((await dispatcher.cancel(failing)).outcome, 'begun')
  assert.ok(await queue.getJob(failing.jobId))
  await eventually(async () => assert.equal((await dispatcher.status(done)).state, 'Completed'))
  assert.equal((await dispatcher.cancel(done)).outcome, 'ended')
  assert.equal((await dispatcher.cancel(ndviRequest(9).request_hash)).outcome, 'unknown')
})

test('an entry that is held, and whose job has run and is not kept, has ended: the mark stays', async (t) => {
  const { server, dispatcher } = await open(t, 'Stream')
  const result = await dispatcher.dispatch(ndviRequest(1))
  assert.ok(result.mode === 'Stream')
  const redis = server.client()
  await redis.xgroup('CREATE', 'ndvi:jobs', 'ndvi', '0')
  await redis.xreadgroup('GROUP', 'ndvi', 'c', 'STREAMS', 'ndvi:jobs', '>')
  const mark = targetOf(planOf(server.url)).keys.mark(result.key)
  await redis.set(mark, result.id, 'PX', 60_000)
  assert.equal((await dispatcher.cancel(result)).outcome, 'ended')
  assert.equal(await redis.get(mark), result.id)
})

test('the job of an earlier run, older than the window, keeps no new request from being cancelled', async (t) => {
  const { server, dispatcher, queue } = await open(t, 'Stream')
  const result = await dispatcher.dispatch(ndviRequest(1))
  const job = { name: 'compute', data: '{}', opts: '{}', timestamp: '1', finishedOn: String(Date.now() - 10 * 86_400_000) }
  await server.client().hset(queue.toKey(result.jobId), job)
  await server.client().zadd(queue.toKey('completed'), job.finishedOn, result.jobId)
  assert.equal((await dispatcher.cancel(result)).outcome, 'cancelled')
  assert.equal((await dispatcher.status(result)).state, 'Cancelled')
  assert.equal(await queue.getJob(result.jobId), undefined)
})
