import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, beforeEach, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { StreamPipelineError } from '../../api/errors.ts'
import { createDispatcher } from '../../client/dispatcher.ts'
import type { DispatcherOptions } from '../../client/options.ts'
import { createWorker } from '../../client/worker.ts'
import { dispatchConfigOf } from '../../redis/dispatchconfig.ts'
import { jobId, keySpace } from '../../redis/keys.ts'
import { freePort } from '../support/port.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { compiled, type NdviRequest, ndviPipeline, ndviRequest, startConsumer } from './ndvi.ts'

const keys = keySpace('ndvi:jobs', 'ndvi')
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

const server = await startRedis({ after })
beforeEach(async () => {
  await server.client().flushall()
})

function openDispatcher(t: TestContext, options: DispatcherOptions = {}) {
  const given = options.config === undefined ? { pipeline: ndviPipeline(server.url) } : { redis: server.url }
  const dispatcher = createDispatcher<NdviRequest>({ ...given, env: {}, ...options })
  t.after(() => dispatcher.close())
  return dispatcher
}

function openQueue(t: TestContext) {
  const queue = new Queue('ndvi', { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  return queue
}

const failsAs =
  (code: string, text = /./) =>
  (thrown: unknown) => {
    assert.ok(thrown instanceof StreamPipelineError, String(thrown))
    assert.equal(thrown.code, code)
    assert.match(thrown.message, text)
    return true
  }

test('Stream: one entry per payload, fields in the order of the schema, under the key of the idempotency fields', async (t) => {
  const dispatcher = openDispatcher(t)
  const { job_id, ...rest } = ndviRequest(7)
  const result = await dispatcher.dispatch({ ...rest, job_id })
  const [entry] = await server.client().xrange('ndvi:jobs', '-', '+')
  assert.ok(result.mode === 'Stream')
  assert.deepEqual(entry, [
    result.id,
    [
      'job_id',
      '7',
      'request_hash',
      rest.request_hash,
      'farm_id',
      '1',
      'engine',
      'sentinel-hub',
      'job_type',
      'ndvi_current',
    ].concat('enqueue_timestamp', '1795000000.25'),
  ])
})

test('Direct: the job that a consumer would make, with its mark', async (t) => {
  const dispatcher = openDispatcher(t, { mode: 'Direct' })
  const result = await dispatcher.dispatch(ndviRequest(7), { traceparent })
  assert.ok(result.mode === 'Direct')
  assert.equal(result.outcome, 'forwarded')
  assert.equal(result.jobId, jobId(keys.scope, result.key))
  const job = await openQueue(t).getJob(result.jobId)
  assert.equal(job?.name, 'compute')
  assert.deepEqual(job?.data, ndviRequest(7))
  assert.equal(job?.opts.attempts, 3)
  assert.deepEqual(JSON.parse(job?.opts.telemetry?.metadata ?? ''), { traceparent })
  const client = server.client()
  const left = await client.pttl(keys.mark(result.key))
  assert.ok(left > 3_590_000 && left <= 3_600_000, String(left))
  assert.equal(await client.exists(keys.lock(result.key)), 0)
  assert.equal(await client.exists('ndvi:jobs'), 0)
})

test('Direct: a second dispatch of the key is a duplicate, also when the job is gone', async (t) => {
  const dispatcher = openDispatcher(t, { mode: 'Direct' })
  const first = await dispatcher.dispatch(ndviRequest(1))
  await openQueue(t).obliterate()
  const second = await dispatcher.dispatch({ ...ndviRequest(2), request_hash: ndviRequest(1).request_hash })
  assert.deepEqual(second, { ...first, outcome: 'duplicate' })
})

test('both modes give one payload the same key, whatever its values’ types', async (t) => {
  const pipeline = ndviPipeline(server.url, (spec) => {
    spec.payload = { schema: { type: 'object', properties: { farm: { type: 'integer' } } }, idempotencyKey: ['farm'] }
  })
  const results = []
  for (const mode of ['Stream', 'Direct'] as const) {
    const dispatcher = createDispatcher({ pipeline, mode, env: {} })
    t.after(() => dispatcher.close())
    results.push(await dispatcher.dispatch({ farm: 1 }), await dispatcher.dispatch({ farm: '1' }))
  }
  assert.equal(new Set(results.map(({ key }) => key)).size, 1)
})

test('the trace context travels as a field of the entry; one that is malformed stays behind', async (t) => {
  const dispatcher = openDispatcher(t)
  await dispatcher.dispatch(ndviRequest(1), { traceparent })
  await dispatcher.dispatch(ndviRequest(2), { traceparent: 'from a stranger' })
  const entries = await server.client().xrange('ndvi:jobs', '-', '+')
  assert.deepEqual(
    entries.map(([, fields]) => fields.slice(12)),
    [['traceparent', traceparent], []],
  )
})

for (const { what, payload, message } of [
  { what: 'misses a field', payload: { request_hash: undefined }, message: /request_hash/ },
  { what: 'has a field of the wrong type', payload: { farm_id: 'seven' }, message: /farm_id/ },
  { what: 'has a field too many', payload: { colour: 'red' }, message: /colour/ },
  { what: 'is too large', payload: { engine: 'x'.repeat(20_000) }, message: /maxBytes/ },
  { what: 'has a field with a reserved name', payload: { 'sp-redrives': 1 }, message: /sp-redrives/ },
]) {
  for (const mode of ['Stream', 'Direct'] as const) {
    test(`${mode}: a payload that ${what} is refused by name, before anything is sent`, async (t) => {
      const dispatcher = openDispatcher(t, { mode, redis: `redis://127.0.0.1:${await freePort()}` })
      const given = { ...ndviRequest(1), ...payload } as NdviRequest
      await assert.rejects(dispatcher.dispatch(given), failsAs('PayloadRejected', message))
    })
  }
}

test('dispatchMany keeps the order over many chunks, and refuses all when one is wrong', async (t) => {
  const dispatcher = openDispatcher(t)
  const requests = Array.from({ length: 600 }, (_, index) => ndviRequest(index + 1))
  const results = await dispatcher.dispatchMany(requests)
  const entries = await server.client().xrange('ndvi:jobs', '-', '+')
  assert.deepEqual(
    entries.map(([id, fields]) => [id, fields[1]]),
    results.map((result, index) => [result.mode === 'Stream' && result.id, String(index + 1)]),
  )
  const wrong = [ndviRequest(1), { ...ndviRequest(2), farm_id: 0 }]
  await assert.rejects(dispatcher.dispatchMany(wrong), failsAs('PayloadRejected', /payload 1 of the list.*farm_id/))
  assert.equal(await server.client().xlen('ndvi:jobs'), 600)
  assert.deepEqual(await dispatcher.dispatchMany([]), [])
})

test('retention.maxEntries bounds the stream approximately', async (t) => {
  const pipeline = ndviPipeline(server.url, (spec) => {
    spec.source = { stream: 'ndvi:jobs', group: 'ndvi', retention: { maxEntries: 100 } }
  })
  const dispatcher = openDispatcher(t, { pipeline })
  await dispatcher.dispatchMany(Array.from({ length: 1_000 }, (_, index) => ndviRequest(index + 1)))
  assert.ok((await server.client().xlen('ndvi:jobs')) < 300)
})

test('the mode: code before environment before Redis before configuration', async (t) => {
  const client = server.client()
  const published = (mode: 'Stream' | 'Direct') =>
    JSON.stringify({ ...dispatchConfigOf(compiled(ndviPipeline(server.url))), mode })
  let id = 0
  for (const { code, env, kept, config, expected } of [
    { code: 'Direct', env: 'Stream', kept: 'Stream', config: 'Stream', expected: 'Direct' },
    { code: undefined, env: 'Stream', kept: 'Direct', config: 'Direct', expected: 'Stream' },
    { code: undefined, env: undefined, kept: 'Direct', config: 'Stream', expected: 'Direct' },
    { code: undefined, env: '', kept: 'Stream', config: 'Direct', expected: 'Stream' },
    { code: undefined, env: undefined, kept: undefined, config: 'Direct', expected: 'Direct' },
    { code: undefined, env: undefined, kept: undefined, config: 'Stream', expected: 'Stream' },
    { code: undefined, env: undefined, kept: 'litter', config: 'Stream', expected: 'Stream' },
  ] as const) {
    await client.del(keys.mode)
    if (kept !== undefined) await client.set(keys.mode, kept)
    const dispatcher = createDispatcher<NdviRequest>({
      redis: server.url,
      ...(code === undefined ? {} : { mode: code }),
      env: { STREAMPIPELINE_DISPATCH: published(config), STREAMPIPELINE_MODE: env },
    })
    t.after(() => dispatcher.close())
    const { mode } = await dispatcher.dispatch(ndviRequest(++id))
    assert.equal(mode, expected, JSON.stringify({ code, env, kept, config }))
  }
})

for (const { what, options, code, message } of [
  { what: 'nothing is known of the pipeline', options: {}, code: 'InvalidOption', message: /STREAMPIPELINE_DISPATCH/ },
  { what: 'the mode is no mode', options: { env: { STREAMPIPELINE_MODE: 'celery' } }, code: 'InvalidOption', message: /celery/ },
  {
    what: 'the configuration is not JSON',
    options: { env: { STREAMPIPELINE_DISPATCH: '{' }, redis: 'redis://localhost' },
    code: 'InvalidOption',
    message: /JSON/,
  },
  {
    what: 'no Redis is named',
    options: { config: dispatchConfigOf(compiled(ndviPipeline('redis://localhost'))) },
    code: 'InvalidOption',
    message: /redis: /,
  },
  {
    what: 'the pipeline is not valid',
    options: { pipeline: ndviPipeline('redis://localhost', (spec) => Object.assign(spec.source, { batchSize: 0 })) },
    code: 'InvalidPipeline',
    message: /batchSize/,
  },
] as const) {
  test(`a dispatcher is not made when ${what}`, () => {
    assert.throws(() => createDispatcher({ env: {}, ...options }), failsAs(code, message))
  })
}

/**
 * Whether the work ends before a timer of `ms`. The work's own bound has an earlier timer, which fires first even after the process
 * stood still.
 */
const endsWithin = (ms: number, work: Promise<unknown>) => Promise.race([work.then(() => true), delay(ms, false, { ref: false })])

for (const mode of ['Stream', 'Direct'] as const) {
  test(`${mode}: Redis that is away fails the call within its bound, and the next call may succeed`, async (t) => {
    const own = await startRedis(t)
    const dispatcher = openDispatcher(t, { pipeline: ndviPipeline(own.url), mode })
    await dispatcher.dispatch(ndviRequest(1))
    await own.kill()
    const refused = assert.rejects(dispatcher.dispatch(ndviRequest(2)), failsAs('RedisUnreachable'))
    assert.ok(await endsWithin(5_500, refused))
    await own.start()
    await eventually(() => dispatcher.dispatch(ndviRequest(2)), { timeoutMs: 20_000 })
  })

  test(`${mode}: Redis that is silent fails the call within its bound`, async (t) => {
    const own = await startRedis(t)
    const dispatcher = openDispatcher(t, { pipeline: ndviPipeline(own.url), mode, timeoutMs: 700 })
    await eventually(() => dispatcher.dispatch(ndviRequest(1)), { timeoutMs: 20_000 })
    await own.kill('SIGSTOP')
    const refused = assert.rejects(dispatcher.dispatch(ndviRequest(2)), failsAs('RedisUnreachable', /700 ms/))
    assert.ok(await endsWithin(1_500, refused))
    await own.kill('SIGCONT')
  })
}

test('closing does not wait for a Redis that is away', async (t) => {
  const own = await startRedis(t)
  for (const mode of ['Stream', 'Direct'] as const) {
    const dispatcher = openDispatcher(t, { pipeline: ndviPipeline(own.url), mode })
    await dispatcher.dispatch(ndviRequest(1))
    await own.kill()
    const failed = assert.rejects(dispatcher.dispatch(ndviRequest(2)), failsAs('RedisUnreachable'))
    assert.ok(await endsWithin(15_000, dispatcher.close()))
    await failed
    await own.start()
  }
})

test('a queue in another Redis gets jobs and marks there, and its Redis must be known', async (t) => {
  const elsewhere = await startRedis(t)
  const pipeline = ndviPipeline(server.url, ({ sink }) => {
    sink.bullmq.redis = { url: elsewhere.url }
  })
  const dispatcher = openDispatcher(t, { pipeline, mode: 'Direct' })
  const result = await dispatcher.dispatch(ndviRequest(1))
  const mark = keySpace('ndvi:jobs', 'ndvi', 'bull:ndvi').mark(result.key)
  assert.equal(await elsewhere.client().exists(mark, `bull:ndvi:${jobId(keys.scope, result.key)}`), 2)
  assert.equal(await server.client().dbsize(), 0)
  const config = dispatchConfigOf(compiled(pipeline))
  const unaware = openDispatcher(t, { config, mode: 'Direct' })
  await assert.rejects(unaware.dispatch(ndviRequest(2)), failsAs('InvalidOption', /queueRedis/))
  const aware = openDispatcher(t, { config, mode: 'Direct', queueRedis: elsewhere.url })
  assert.deepEqual(await aware.dispatch(ndviRequest(1)), { ...result, outcome: 'duplicate' })
})

test('closing is final, may be repeated, and leaves a caller’s connection alone', async (t) => {
  const connection = server.client()
  const dispatcher = openDispatcher(t, { redis: connection })
  const underWay = dispatcher.dispatch(ndviRequest(1))
  await Promise.all([dispatcher.close(), dispatcher.close()])
  assert.equal((await underWay).mode, 'Stream')
  await assert.rejects(dispatcher.dispatch(ndviRequest(2)), failsAs('Closed'))
  assert.equal(await connection.ping(), 'PONG')
})

/** Entries the group has not settled; throws while there is no group. */
async function backlog(client: ReturnType<RedisServer['client']>): Promise<number> {
  const [group] = (await client.xinfo('GROUPS', 'ndvi:jobs')) as unknown[][]
  assert.ok(group !== undefined, 'no group yet')
  const count = (name: string) => Number(group[group.indexOf(name) + 1])
  return count('pending') + count('lag')
}

test('flips under load, both modes at once, make one job and one run per key', async (t) => {
  const pipeline = ndviPipeline(server.url, ({ sink }) => {
    // Nothing of a finished job remains that could stop a second one but its mark.
    sink.bullmq.jobOptions = { removeOnComplete: { count: 0 } }
  })
  const consumer = await startConsumer(t, pipeline)
  const client = server.client()
  await eventually(
    async () => {
      assert.ok(consumer.running(), `the consumer ended:\n${consumer.stdout()}${consumer.stderr()}`)
      return (await backlog(client)) === 0
    },
    { timeoutMs: 40_000 },
  )
  const executions = new Map<number, number>()
  const worker = createWorker<NdviRequest>({
    queue: 'ndvi',
    redis: server.url,
    concurrency: 20,
    execute: ({ job_id }) => void executions.set(job_id, (executions.get(job_id) ?? 0) + 1),
  })
  t.after(() => worker.close())
  await worker.start()
  const dispatchers = ([{}, { mode: 'Stream' }, { mode: 'Direct' }] as const).map((more) =>
    openDispatcher(t, { pipeline, ...more }),
  )
  const modes = new Set<string>()
  const unique = 300
  for (let round = 0; round * 30 < unique; round++) {
    await client.set(keys.mode, round % 2 === 0 ? 'Direct' : 'Stream')
    const requests = Array.from({ length: 30 }, (_, index) => ndviRequest(round * 30 + index + 1))
    // Dispatched again where Redis was late: the keys make that safe, and it is the keys that are looked at here.
    const persistently = dispatchers.map((each) => eventually(() => each.dispatchMany(requests), { timeoutMs: 30_000 }))
    const results = await Promise.all(persistently)
    for (const { mode } of results[0] ?? []) modes.add(mode)
  }
  await eventually(() => executions.size === unique, { timeoutMs: 30_000 })
  await eventually(async () => (await backlog(client)) === 0, { timeoutMs: 20_000 })
  // A second job of a key would lie there, or run.
  await eventually(async () => (await client.llen('bull:ndvi:wait')) + (await client.llen('bull:ndvi:active')) === 0, {
    timeoutMs: 20_000,
  })
  assert.deepEqual([...modes].sort(), ['Direct', 'Stream'])
  assert.equal(executions.size, unique)
  assert.deepEqual(
    [...executions.values()].filter((count) => count !== 1),
    [],
  )
})
