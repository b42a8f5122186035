import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertOnce, openPipeline, withTraps, writeConfig } from '../../consumer/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { freePort } from '../../support/port.ts'
import { runCli, startCli, startProcess } from '../../support/process.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { silentAfterFirst } from '../../support/silentway.ts'
import { eventually } from '../../support/wait.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

let streams = 0
/** A pipeline of its own: stream, dead letters and queue. */
const own = (t: TestContext, changes: Parameters<typeof openPipeline>[2] = {}) => {
  const name = `s${++streams}`
  const { source, sink, ...rest } = changes
  return openPipeline(t, server, { source: { stream: `{${name}}:jobs`, ...source }, sink: { queue: name, ...sink }, ...rest })
}

test('forwards what was there and what comes, once, and reports its state', async (t) => {
  const { add, start, jobs, waiting, pending, heartbeat, names } = own(t)
  await add(300)
  const consumer = await start('pod-0', { env: { POD_UID: 'uid-0' } })
  await add(200, 300)
  await eventually(async () => (await waiting()) === 500)
  assertOnce(await jobs(), 500)
  await eventually(async () => (await pending()).length === 0)
  assert.deepEqual(await names(), ['pod-0'])
  const beat = await eventually(async () => {
    const found = await heartbeat('pod-0')
    return found?.forwarded === 500 ? found : false
  })
  assert.match(beat.uid, /uid-0$/)
  assert.deepEqual([beat.state, beat.inFlight, beat.dead], ['Running', 0, 0])
  assert.ok(beat.serviceMs > 0)

  assert.equal(await consumer.metric('stream_consumer_settled_total{outcome="forwarded"'), 500)
  assert.equal(await consumer.metric('stream_consumer_dead_letters_total{reason="Trimmed"'), 0)
  assert.ok((await consumer.metric('stream_consumer_heartbeat_timestamp_seconds')) > Date.now() / 1000 - 10)
  assert.deepEqual(await consumer.get('/livez'), { status: 200, body: 'ok\n' })
  assert.deepEqual(await consumer.get('/readyz'), { status: 200, body: 'Running\n' })
  assert.equal((await consumer.get('/other')).status, 404)

  assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
  assert.deepEqual(await names(), [], 'its name is retired')
})

test('dead letters of each reason that input can reach; the log shows no value of a payload', async (t) => {
  const secret = 'hunter2-is-the-password'
  const { redis, start, dead, place, pending, waiting } = own(t, {
    payload: {
      encoding: 'Json',
      field: 'payload',
      idempotencyKey: ['id'],
      maxBytes: '2Ki',
      maxFields: 2,
      schema: {
        type: 'object',
        required: ['id'],
        properties: { id: { type: 'integer' }, note: { type: 'string', maxLength: 30 } },
      },
    },
  })
  const binary = Buffer.from([0xff, 0xfe, 0x00])
  const entries: [reason: string, ...parts: (string | Buffer)[]][] = [
    ['InvalidPayload', 'payload', `{"id": ${secret}`],
    ['InvalidPayload', 'payload', binary],
    ['InvalidPayload', 'other', secret],
    ['PayloadTooLarge', 'payload', JSON.stringify({ id: 1, note: secret.repeat(100) })],
    ['TooManyFields', 'a', secret, 'b', '2', 'c', '3'],
    ['SchemaViolation', 'payload', JSON.stringify({ id: secret })],
    ['SchemaViolation', 'payload', JSON.stringify({ id: 1, note: secret.repeat(2) })],
  ]
  for (const [, ...parts] of entries) await redis.xadd(place.stream, '*', ...(parts as [string, string]))
  await redis.xadd(place.stream, '*', 'payload', JSON.stringify({ id: 7, note: secret }), 'traceparent', '00-a-b-01')
  const consumer = await start('pod-0')
  await eventually(async () => (await dead()).length === entries.length && (await waiting()) === 1)
  const found = await dead()
  for (const [index, [reason, ...parts]] of entries.entries()) {
    const letter = found[index]
    assert.deepEqual([letter?.reason, letter?.consumer, letter?.deliveries], [reason, 'pod-0', 1])
    assert.deepEqual(
      letter?.payload,
      parts.map((part) => Buffer.from(part as string)),
    )
    assert.ok(!letter?.error.includes('hunter2'), letter?.error)
  }
  await eventually(async () => (await pending()).length === 0)
  await eventually(async () => (await consumer.metric('stream_consumer_dead_letters_total{reason="SchemaViolation"')) === 2)
  const reported = () => consumer.log().filter(({ msg, level }) => msg === 'dead letter' && level === 'warn').length
  await eventually(() => reported() >= entries.length)
  assert.equal(reported(), entries.length)
  await consumer.stop()
  assert.ok(!`${consumer.stdout()}${consumer.stderr()}`.includes('hunter2'))
})

test('two entries of one key make one job', async (t) => {
  const { redis, start, place, waiting, pending } = own(t, { payload: { idempotencyKey: ['k'] } })
  for (const note of ['a', 'b', 'c']) await redis.xadd(place.stream, '*', 'k', 'same', 'note', note)
  const consumer = await start('pod-0')
  await eventually(async () => (await consumer.metric('stream_consumer_settled_total{outcome="duplicate"')) === 2)
  assert.deepEqual([await waiting(), (await pending()).length], [1, 0])
})

const bad: [what: string, prepare: (t: TestContext) => Promise<string[]>, says: RegExp][] = [
  ['no such file', async () => ['--config', '/nonexistent.yaml'], /cannot read \/nonexistent\.yaml/],
  [
    'a field that is wrong',
    async (t) => ['--config', await writeConfig(t, { source: { batchSize: 0 } })],
    /spec\.source\.batchSize/,
  ],
  [
    'an address that is none',
    async (t) => ['--config', await writeConfig(t, { url: server.url }), '--listen', 'nonsense'],
    /--listen: write HOST:PORT or :PORT, not nonsense/,
  ],
  [
    'a secret that is not mounted',
    async (t) => {
      const passwordFrom = { secretKeyRef: { name: 'redis', key: 'password' } }
      return ['--config', await writeConfig(t, { redis: { url: server.url, passwordFrom } }), '--listen', '127.0.0.1:0']
    },
    /Secret redis \(key password\), which spec\.redis\.passwordFrom/,
  ],
  [
    'a queue key of the wrong type',
    async (t) => {
      await server.client().set('bull:taken:wait', 'text')
      return ['--config', await writeConfig(t, { url: server.url, sink: { queue: 'taken' } }), '--listen', '127.0.0.1:0']
    },
    /key bull:taken:wait holds a string, not a list/,
  ],
  [
    'a stream of the wrong type',
    async (t) => {
      await server.client().lpush('list', 'x')
      return ['--config', await writeConfig(t, { url: server.url, source: { stream: 'list' } }), '--listen', '127.0.0.1:0']
    },
    /key list holds a list, not a stream/,
  ],
  [
    'a server that evicts',
    async (t) => {
      const evicting = await startRedis(t, { args: ['--maxmemory-policy', 'volatile-lru'] })
      return ['--config', await writeConfig(t, { url: evicting.url }), '--listen', '127.0.0.1:0']
    },
    /maxmemory-policy is volatile-lru/,
  ],
]
for (const [what, prepare, says] of bad) {
  test(`${what} ends with 64 and is reported`, async (t) => {
    const { code, stdout, stderr } = await runCli(t, ['consume', ...(await prepare(t))])
    assert.equal(code, 64, stdout + stderr)
    assert.match(stdout + stderr, says)
  })
}

test('a Redis that stays away at start ends with 69 once patience has run out', async (t) => {
  const config = await writeConfig(t, { url: `redis://127.0.0.1:${await freePort()}` })
  const code = `import { runConsumer } from './consumer/run.ts'
const signal = new AbortController().signal
process.exit(await runConsumer({ config: ${JSON.stringify(config)}, listen: '127.0.0.1:0', env: {}, signal, startPatienceMs: 300 }))`
  const child = await startProcess(t, ['--input-type=module', '-e', code])
  assert.equal((await child.exit).code, 69, child.stdout() + child.stderr())
  assert.match(child.stdout(), /"code":"RedisUnreachable"/)
})

test('asked to stop while Redis is away at start: 0, soon', async (t) => {
  const config = await writeConfig(t, { url: `redis://127.0.0.1:${await freePort()}` })
  const child = await startCli(t, ['consume', '--config', config, '--listen', '127.0.0.1:0'])
  await child.output(/RedisUnreachable/)
  const begun = performance.now()
  assert.equal((await child.stop('SIGTERM', 40_000)).code, 0)
  // Its patience would have lasted for a minute.
  assert.ok(performance.now() - begun < 20_000)
})

test('a Redis that falls silent in the middle of the start: 69 once patience has run out', async (t) => {
  const config = await writeConfig(t, { url: (await silentAfterFirst(t, server)).url })
  const code = `import { runConsumer } from './consumer/run.ts'
const signal = new AbortController().signal
process.exit(await runConsumer({ config: ${JSON.stringify(config)}, listen: '127.0.0.1:0', env: {}, signal, startPatienceMs: 1_000 }))`
  const child = await startProcess(t, ['--input-type=module', '-e', code])
  assert.equal((await child.exit).code, 69, child.stdout() + child.stderr())
  assert.match(child.stdout(), /"code":"RedisUnreachable".*no answer within 1000 ms/)
})

test('asked to stop while Redis is silent in the middle of the start: 0, soon', async (t) => {
  const { url, taken } = await silentAfterFirst(t, server)
  const config = await writeConfig(t, { url })
  const child = await startCli(t, ['consume', '--config', config, '--listen', '127.0.0.1:0'])
  await eventually(() => taken() === 2, { timeoutMs: 30_000 })
  const begun = performance.now()
  assert.equal((await child.stop('SIGTERM', 40_000)).code, 0)
  // Its patience would have lasted for a minute.
  assert.ok(performance.now() - begun < 20_000)
})

for (const what of ['read', 'taken over'] as const) {
  test(`a bug in the middle of a batch that was ${what} ends with 70 and a line in the log`, async (t) => {
    const { redis, place, makeGroup, read, start } = own(t)
    const add = async () => await redis.xadd(place.stream, '*', 'job_id', 'bug')
    if (what === 'taken over') {
      await makeGroup()
      await add()
      await read('dead-pod', 1)
    }
    const consumer = await start('pod-0', { ready: what === 'read', env: withTraps })
    if (what === 'read') await add()
    const exit = await Promise.race([consumer.exit, sleep(20_000, 'still running' as const, { ref: false })])
    assert.deepEqual(exit, { code: 70, signal: null }, consumer.stderr())
    const line = consumer.log().find(({ code }) => code === 'Internal')
    assert.match(line?.msg ?? consumer.stdout(), /a bug of ours/)
    assert.equal(consumer.stderr(), '')
  })
}

test('backpressure: above maxWaiting reading stops, the backlog stays in the stream, then it resumes', async (t) => {
  const { add, start, waiting, redis, queueKey, place, heartbeat } = own(t, {
    source: { batchSize: 20, inFlightBatches: 1 },
    sink: { maxWaiting: 100 },
  })
  const consumer = await start('pod-0')
  await add(1_000)
  await consumer.logged('the queue is full; reading stops until it drains')
  const atStop = await waiting()
  assert.ok(atStop > 100 && atStop <= 140, String(atStop))
  assert.equal((await consumer.get('/readyz')).status, 200, 'backpressure is no failure')
  await eventually(async () => (await heartbeat('pod-0'))?.state === 'Backpressured')
  assert.equal(await waiting(), atStop)
  const groups = (await redis.xinfo('GROUPS', place.stream)) as unknown[][]
  assert.ok(Number(groups[0]?.[groups[0].indexOf('lag') + 1]) >= 850)
  await redis.ltrim(`${queueKey}:wait`, 0, 10)
  await eventually(async () => (await waiting()) > 100)
  await consumer.stop()
})
