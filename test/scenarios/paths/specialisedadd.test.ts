/** The specialised add leaves in Redis what BullMQ's own text leaves, whatever is added to whatever queue; and when it is not used. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import type { CompiledJobOptions } from '../../../api/compiled.ts'
import { type ForwardItem, jsonOf } from '../../../redis/bullmq/item.ts'
import { fingerprint, openBullQueue } from '../../../redis/bullmq/queue.ts'
import type { AddWay } from '../../../redis/bullmq/specialisedadd.ts'
import { close, connect } from '../../../redis/connect/connection.ts'
import { jobId } from '../../../redis/keys.ts'
import { forwardTarget, queueKey } from '../../../redis/placement.ts'
import { testSpecialisedAdd } from '../../../redis/settle/addtest.ts'
import { chooseSettlePath } from '../../../redis/settle/choose.ts'
import { createComposedForwarder } from '../../../redis/settle/forwarders/composed.ts'
import { noConfirmation } from '../../../redis/settle/forwarders/replication.ts'
import { openPipeline } from '../../consumer/fixture.ts'
import { alterScripts } from '../../paths/alteration.ts'
import { address, pipelineWith } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { seed } from '../../support/seed.ts'
import { eventually } from '../../support/wait.ts'

let servers: Readonly<Record<AddWay, RedisServer>>
const scope = fileScope()
before(async () => {
  const [own, specialised] = await Promise.all([startRedis(scope), startRedis(scope)])
  servers = { BullMQ: own, Specialised: specialised }
})

const kinds: readonly (readonly [what: string, options: Partial<CompiledJobOptions>])[] = [
  ['plain', {}],
  ['delayed', { delay: 3_600_000 }],
  ['prioritised', { priority: 7, attempts: 5, backoff: { type: 'exponential', delay: 1_000 } }],
  ['delayed and prioritised', { delay: 1, priority: 2_097_152 }],
  ['last in, first out', { lifo: true, removeOnComplete: { age: 60, count: 5 }, removeOnFail: true }],
]

/** The whole keyspace; options parsed, since the order of their members varies. Keys that expire are marked. */
async function keyspace(redis: Redis): Promise<Readonly<Record<string, unknown>>> {
  const read = async (key: string): Promise<unknown> => {
    switch (await redis.type(key)) {
      case 'hash': {
        const hash: Record<string, unknown> = await redis.hgetall(key)
        return typeof hash['opts'] === 'string' ? { ...hash, opts: JSON.parse(hash['opts']) } : hash
      }
      case 'list':
        return await redis.lrange(key, 0, -1)
      case 'zset':
        return await redis.zrange(key, '0', '-1', 'WITHSCORES')
      case 'stream':
        return (await redis.xrange(key, '-', '+')).map(([, fields]) => fields)
      default:
        return [await redis.get(key), Math.sign(await redis.pttl(key))]
    }
  }
  const keys = (await redis.keys('*')).sort()
  return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await read(key)] as const)))
}

/** What happens to a queue, or is added to it. Jobs go by a small number, so that they meet again. */
type Step =
  | { readonly kind: 'Add'; readonly jobs: readonly number[]; readonly metadata: boolean; readonly later: number }
  | { readonly kind: 'Meta'; readonly field: 'paused' | 'concurrency' | 'opts.maxLenEvents'; readonly value: string | undefined }
  | { readonly kind: 'Job'; readonly job: number; readonly is: 'waiting' | 'finished' | 'outlived' | 'half-made' | 'foreign' }
  | { readonly kind: 'Active' | 'Unmark' | 'Trim'; readonly job: number }

const job = fc.nat({ max: 60 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('Add' as const),
      jobs: fc.array(job, { minLength: 1, maxLength: 80 }),
      metadata: fc.boolean(),
      later: fc.nat({ max: 3 }),
    }),
  },
  fc.record({
    kind: fc.constant('Meta' as const),
    field: fc.constant('paused' as const),
    value: fc.option(fc.constant('1'), { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant('Meta' as const),
    field: fc.constant('concurrency' as const),
    value: fc.constantFrom('1', '2', undefined),
  }),
  fc.record({
    kind: fc.constant('Meta' as const),
    field: fc.constant('opts.maxLenEvents' as const),
    value: fc.constantFrom('1', '50', undefined),
  }),
  fc.record({
    kind: fc.constant('Job' as const),
    job,
    is: fc.constantFrom('waiting', 'finished', 'outlived', 'half-made', 'foreign'),
  }),
  fc.record({ kind: fc.constantFrom('Active', 'Unmark', 'Trim'), job }),
)

async function open(t: Scope, way: AddWay, jobOptions: Partial<CompiledJobOptions>, requestCopy: boolean) {
  const server = servers[way]
  const plain = forwardTarget(pipelineWith({ sink: { queue: 'q' } }))
  const target = { ...plain, requestCopy, jobOptions: { ...plain.jobOptions, ...jobOptions } }
  const connection = connect(address(server.port), 'Writer')
  const bull = await openBullQueue(connection, target.queue, target.prefix)
  t.after(async () => {
    await bull.close()
    await close(connection)
  })
  let now = 1_784_902_617_355
  const forwarder = createComposedForwarder(connection, target, bull, noConfirmation, way, () => now)
  const redis = server.client()
  const hashOf = (number: number) => `h${number}`.padEnd(43, '-')
  const key = queueKey(target)
  const idOf = (number: number) => jobId(target.keys.scope, hashOf(number))
  const item = (number: number, metadata: boolean): ForwardItem => ({
    hash: hashOf(number),
    json: jsonOf({ number, text: 'ä/"\n\u007f' }),
    trace: number % 3 === 0 ? { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'a="b/c"\\' } : {},
    ...(number % 2 === 0 ? {} : { origin: `1784902617355-${number}` }),
    ...(metadata ? { metadata: { 'x-"tenant': `${number}/é\u2028`, empty: '' } } : {}),
  })
  const lay = async (id: string, is: Extract<Step, { kind: 'Job' }>['is'], at: number) => {
    await redis.del(key + id)
    if (is === 'foreign') return void (await redis.set(key + id, 'foreign'))
    const finished = is === 'finished' ? { finishedOn: String(at) } : is === 'outlived' ? { finishedOn: '1' } : {}
    await redis.hset(key + id, { name: 'x', data: '{}', opts: '{}', timestamp: '1', ...finished })
    if (is === 'waiting') await redis.lpush(`${key}wait`, id)
    if (is === 'finished' || is === 'outlived') await redis.zadd(`${key}completed`, at, id)
  }
  return {
    redis,
    async run(one: Step, at: number): Promise<unknown> {
      switch (one.kind) {
        case 'Add':
          now += one.later
          return (await forwarder.forward(one.jobs.map((number) => item(number, one.metadata)))).outcomes
        case 'Meta':
          if (one.value === undefined) return await redis.hdel(`${key}meta`, one.field)
          return await redis.hset(`${key}meta`, one.field, one.value)
        case 'Job':
          return await lay(idOf(one.job), one.is, at)
        case 'Active':
          return await redis.rpush(`${key}active`, idOf(one.job))
        case 'Unmark':
          return await redis.del(target.keys.mark(hashOf(one.job)))
        case 'Trim':
          return await redis.xtrim(`${key}events`, 'MAXLEN', one.job)
        default:
          return one satisfies never
      }
    },
  }
}

describe(`the same keyspace (STREAMPIPELINE_SEED=${seed})`, () => {
  for (const [index, [what, jobOptions]] of kinds.entries()) {
    test(`${what} jobs`, async (t) => {
      const requestCopy = index % 2 === 1
      const own = await open(t, 'BullMQ', jobOptions, requestCopy)
      const specialised = await open(t, 'Specialised', jobOptions, requestCopy)
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
          await Promise.all([own.redis.flushall(), specialised.redis.flushall()])
          const at = Date.now() - 60_000
          for (const one of steps) {
            const [expected, actual] = await Promise.all([own.run(one, at), specialised.run(one, at)])
            assert.deepEqual(actual, expected)
          }
          assert.deepEqual(await keyspace(specialised.redis), await keyspace(own.redis))
        }),
        { seed, numRuns: 60 },
      )
    })
  }
})

test('the self-test passes for each kind of jobs, and leaves nothing', async (t) => {
  const connection = connect(address(servers.Specialised.port), 'Writer')
  t.after(() => close(connection))
  const redis = servers.Specialised.client()
  await redis.flushall()
  for (const [what, jobOptions] of kinds) {
    const plain = forwardTarget(pipelineWith({ sink: { queue: 'q' } }))
    const target = { ...plain, jobOptions: { ...plain.jobOptions, ...jobOptions } }
    assert.equal(await testSpecialisedAdd(connection, target), undefined, what)
  }
  assert.deepEqual(await redis.keys('*'), [])
})

test('a BullMQ that writes something else: BullMQ’s own text adds, and why', async (t) => {
  const connection = connect(address(servers.Specialised.port), 'Writer')
  t.after(() => close(connection))
  const alter = (lua: string) => lua.replaceAll('"event", "waiting"', '"event", "awaiting"')
  alterScripts(connection as Parameters<typeof alterScripts>[0], alter, 'server as well')
  const bull = await openBullQueue(connection, 'scratch', 'bull')
  const print = fingerprint(bull.scripts)
  await bull.close()
  assert.ok(print)
  const pipeline = pipelineWith({ url: servers.Specialised.url })
  const plan = await chooseSettlePath(pipeline, connection, connection, 'specialised', new Map([['altered', print]]))
  t.after(() => plan.path.close())
  assert.deepEqual([plan.path.kind, plan.fallback, plan.add?.way], ['Atomic', undefined, 'BullMQ'])
  assert.match(plan.add?.why ?? '', /events differs from what BullMQ’s own text writes/)
})

test('a consumer that may not INCRBY adds by BullMQ’s own text, and reports it in log and metrics', async (t) => {
  const server = await startRedis(t)
  await server.client().call('ACL', 'SETUSER', 'default', '-incrby')
  const { add, start, waiting, pending } = openPipeline(t, server, {
    source: { stream: '{older}:jobs' },
    sink: { queue: 'older' },
  })
  await add(50)
  const consumer = await start('pod-0')
  await eventually(async () => (await waiting()) === 50 && (await pending()).length === 0)
  const line = await consumer.logged('jobs are added by BullMQ’s own script, one by one')
  assert.equal(line.level, 'warn')
  assert.match(String(line['reason']), /NOPERM.*INCRBY/i)
  assert.equal(await consumer.metric('stream_consumer_job_add{way="BullMQ"'), 1)
  assert.equal(await consumer.metric('stream_consumer_job_add{way="Specialised"'), 0)
  await consumer.stop()
})
