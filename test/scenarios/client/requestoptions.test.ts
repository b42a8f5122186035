/** Options of a request, as an application gives them: bounded before anything is sent, and never sent to a consumer that drops them. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, beforeEach, type TestContext, test } from 'node:test'
import { Queue } from 'bullmq'
import { StreamPipelineError } from '../../../api/errors.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import type { DispatcherOptions } from '../../../client/options.ts'
import type { DispatchOptions } from '../../../client/prepare.ts'
import { dispatchConfigOf } from '../../../redis/dispatchconfig.ts'
import { jobId, keySpace } from '../../../redis/keys.ts'
import { compiled, type NdviRequest, ndviPipeline, ndviRequest, startConsumer } from '../../client/ndvi.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const keys = keySpace('ndvi:jobs', 'ndvi')
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

const server = await startRedis({ after })
beforeEach(async () => {
  await server.client().flushall()
})

const allow = {
  ...{ names: ['report'], maxDelay: '1h', priority: { max: 10 }, maxAttempts: 5, maxBackoff: '10s', lifo: true },
  ...{ removeOnComplete: true, removeOnFail: true, idempotencyKey: true },
}
const pipeline = ndviPipeline(server.url, (spec) => {
  spec.sink.bullmq.allow = allow
})

function openDispatcher(t: TestContext, options: DispatcherOptions = {}) {
  const dispatcher = createDispatcher<NdviRequest>({ ...(options.config === undefined && { pipeline }), env: {}, ...options })
  t.after(() => dispatcher.close())
  return dispatcher
}

const fails = (code: string, text: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof StreamPipelineError, String(thrown))
  assert.equal(thrown.code, code)
  assert.match(thrown.message, text)
  return true
}

const given: DispatchOptions = {
  ...{ name: 'report', delay: 1_000, priority: 3, attempts: 4, backoff: { type: 'fixed', delay: 250 }, lifo: false },
  ...{ removeOnComplete: { age: 90_000, count: 5_000 }, removeOnFail: false, idempotencyKey: 'report of may' },
  ...{ traceparent, tracestate: 'vendor=1' },
}

test('through the stream and a consumer, and Direct, a request with every option becomes the same job', async (t) => {
  const consumer = await startConsumer(t, pipeline)
  const queue = new Queue('ndvi', { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  const jobs = []
  for (const mode of ['Stream', 'Direct'] as const) {
    const { key } = await openDispatcher(t, { mode }).dispatch(ndviRequest(7), given)
    const id = jobId(keys.scope, key)
    await eventually(async () => assert.ok(await queue.getJob(id)))
    const job = await queue.getJob(id)
    jobs.push({ id, name: job?.name, data: job?.data, opts: { ...job?.opts, sp: undefined }, delay: job?.delay })
    await job?.remove()
    await server.client().del(keys.mark(key))
  }
  await consumer.stop('SIGTERM')
  assert.deepEqual(jobs[0], jobs[1])
  const { name, opts } = jobs[0] ?? {}
  assert.equal(name, 'report')
  assert.deepEqual(JSON.parse(JSON.stringify(opts)), {
    ...{ attempts: 4, backoff: { type: 'fixed', delay: 250 }, delay: 1_000, priority: 3, lifo: false, jobId: jobs[0]?.id },
    ...{ removeOnComplete: { age: 90_000, count: 5_000 }, removeOnFail: false },
    telemetry: { metadata: JSON.stringify({ traceparent, tracestate: 'vendor=1' }) },
  })
})

const refusals: readonly (readonly [what: string, options: object, message: RegExp])[] = [
  ['a name that is not listed', { name: 'mail' }, /name of the request.*allow\.names/],
  ['a longer delay', { delay: 3_600_001 }, /delay.*more than allow\.maxDelay 3600000/],
  ['a delay that is no whole number', { delay: 0.5 }, /delay.*whole milliseconds/],
  ['a delay that is text', { delay: '5' }, /delay.*whole milliseconds/],
  ['the priority before all', { priority: 0 }, /priority.*between 1 and 10/],
  ['too many attempts', { attempts: 6 }, /attempts.*maxAttempts 5/],
  ['no attempt', { attempts: 0 }, /attempts.*from 1 on/],
  ['a back-off of another type', { backoff: { type: 'custom' } }, /backoff.*fixed/],
  ['a back-off with jitter', { backoff: { type: 'fixed', delay: 1, jitter: 0.5 } }, /backoff.*fixed/],
  ['keeping less than the pipeline', { removeOnComplete: 10 }, /removeOnComplete.*jobs that jobOptions/],
  ['removing a failed job before it is captured', { removeOnFail: true }, /removeOnFail.*cannot become a dead letter/],
  ['an empty key', { idempotencyKey: '' }, /idempotencyKey.*not empty/],
  ['a job id', { jobId: 'x' }, /jobId.*give idempotencyKey/],
  ['a repetition', { repeat: { every: 1 } }, /repeat.*job scheduler/],
  ['an option that nobody knows', { dealy: 1 }, /dealy.*no such option/],
]

for (const [what, options, message] of refusals) {
  test(`${what} is refused before anything is sent`, async (t) => {
    for (const mode of ['Stream', 'Direct'] as const) {
      await assert.rejects(openDispatcher(t, { mode }).dispatch(ndviRequest(1), options), fails('OptionRefused', message))
    }
    assert.equal(await server.client().dbsize(), 0)
  })
}

test('without spec.sink.bullmq.allow every option is refused', async (t) => {
  const dispatcher = openDispatcher(t, { pipeline: ndviPipeline(server.url) })
  for (const [option, value] of Object.entries(given)) {
    if (option.startsWith('trace')) continue
    await assert.rejects(dispatcher.dispatch(ndviRequest(1), { [option]: value }), fails('OptionRefused', /allow/))
  }
})

test('a list may have options for each payload; a problem names the payload', async (t) => {
  const dispatcher = openDispatcher(t, { config: dispatchConfigOf(compiled(pipeline)), redis: server.url })
  const payloads = [ndviRequest(1), ndviRequest(2)]
  await dispatcher.dispatchMany(payloads, [{ priority: 1 }, { delay: 5, traceparent: undefined }])
  await dispatcher.dispatchMany(payloads, { name: 'report' })
  const entries = await server.client().xrange('ndvi:jobs', '-', '+')
  assert.deepEqual(
    entries.map(([, fields]) => fields.slice(12)),
    [
      ['sp-priority', '1'],
      ['sp-delay', '5'],
      ['sp-name', 'report'],
      ['sp-name', 'report'],
    ],
  )
  await assert.rejects(dispatcher.dispatchMany(payloads, [{}, { attempts: 9 }]), fails('OptionRefused', /payload 1 of the list/))
  await assert.rejects(dispatcher.dispatchMany(payloads, [{}]), fails('InvalidOption', /1 options for 2 payloads/))
})

test('while one consumer takes no options, a request with options does not enter the stream, and one without does', async (t) => {
  const redis = server.client()
  await redis.hset(keys.consumers, { one: 'pod/1', two: 'pod/2', gone: 'pod/3' })
  await redis.set(keys.consumer('one'), '{"at":1,"uid":"pod/1","takesOptions":true}')
  await redis.set(keys.consumer('two'), '{"at":1,"uid":"pod/2"}')
  const dispatcher = openDispatcher(t)
  await assert.rejects(dispatcher.dispatch(ndviRequest(1), { priority: 1 }), (thrown) => {
    fails('OptionsNotTaken', /consumer two/)(thrown)
    return thrown instanceof StreamPipelineError && thrown.retryable
  })
  assert.equal(await redis.exists('ndvi:jobs'), 0)
  await dispatcher.dispatch(ndviRequest(1))
  await openDispatcher(t, { mode: 'Direct' }).dispatch(ndviRequest(2), { priority: 1 })
  await redis.del(keys.consumer('two'))
  await dispatcher.dispatch(ndviRequest(3), { priority: 1 })
  assert.equal(await redis.xlen('ndvi:jobs'), 2)
})

test('a consumer says in its heartbeat whether its pipeline allows options', async (t) => {
  const consumers = await Promise.all([startConsumer(t, pipeline, 'with'), startConsumer(t, ndviPipeline(server.url), 'without')])
  const beat = async (name: string) => String(await server.client().get(keys.consumer(name)))
  await eventually(async () => assert.match(await beat('with'), /"takesOptions":true/))
  await eventually(async () => assert.match(await beat('without'), /"uid"/))
  assert.doesNotMatch(await beat('without'), /takesOptions/)
  await Promise.all(consumers.map((consumer) => consumer.stop('SIGTERM')))
})

test('while the mode flips, requests with options that are dispatched from two sides make one job each, with their options', async (t) => {
  const consumer = await startConsumer(t, pipeline)
  const redis = server.client()
  await eventually(async () => assert.ok(await redis.exists(keys.consumers)))
  const sides = [openDispatcher(t), openDispatcher(t)]
  const optionsOf = (id: number): DispatchOptions => [{ name: 'report' }, { priority: 3 }, { delay: 600_000 }, {}][id % 4] ?? {}
  const hashes = new Set<string>()
  for (let round = 0; round < 40; round++) {
    await redis.set(keys.mode, round % 2 === 0 ? 'Direct' : 'Stream')
    const ids = Array.from({ length: 10 }, (_, index) => round * 10 + index + 1)
    const batches = sides.map((side) => side.dispatchMany(ids.map(ndviRequest), ids.map(optionsOf)))
    await redis.set(keys.mode, round % 3 === 0 ? 'Stream' : 'Direct')
    for (const { key } of (await Promise.all(batches)).flat()) hashes.add(key)
  }
  assert.equal(hashes.size, 400)
  const queue = new Queue('ndvi', { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  await eventually(async () => assert.equal((await redis.xpending('ndvi:jobs', 'ndvi'))[0], 0), { timeoutMs: 30_000 })
  await eventually(
    async () => {
      const { waiting, prioritized, delayed } = await queue.getJobCounts('waiting', 'prioritized', 'delayed')
      assert.deepEqual([waiting, prioritized, delayed], [200, 100, 100])
    },
    { timeoutMs: 30_000 },
  )
  await consumer.stop('SIGTERM')
})
