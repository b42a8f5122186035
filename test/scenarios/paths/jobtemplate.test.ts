/** Templates write the bytes that BullMQ itself would have sent, for jobs of every shape and kind. */
import { dataOf, type ForwardItem, jsonOf } from '../../../redis/bullmq/item.ts'
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { decode } from '@msgpack/msgpack'
import { Job } from 'bullmq'
import fc from 'fast-check'
import type { CompiledJobOptions } from '../../../api/compiled.ts'
import { createJobComposer, type JobCall } from '../../../redis/bullmq/encoder/composer.ts'
import { makeJsonTemplate } from '../../../redis/bullmq/encoder/jsonoptions.ts'
import { type JobShape, makeTemplate } from '../../../redis/bullmq/encoder/template.ts'
import { createTemplates } from '../../../redis/bullmq/encoder/templates.ts'
import { headOf, jobOptionsOf } from '../../../redis/bullmq/joboptions.ts'
import { openBullQueue, recordAdd } from '../../../redis/bullmq/queue.ts'
import { close, connect } from '../../../redis/connect/connection.ts'
import { jobId } from '../../../redis/keys.ts'
import { fieldsOf, readRequest } from '../../../redis/payload/request.ts'
import { forwardTarget } from '../../../redis/placement.ts'
import { createPacker } from '../../../redis/scripts/packer.ts'
import { address, pipelineWith } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { seed } from '../../support/seed.ts'

const server = await startRedis({ after })

const shapes = ['Entry', 'TracedEntry', 'Direct', 'TracedDirect'] as const satisfies readonly JobShape[]

async function open(scope: Scope, options: Partial<CompiledJobOptions>, jobName = 'compute') {
  const pipeline = pipelineWith({ url: server.url, sink: { queue: 'q' } })
  const plain = forwardTarget(pipeline)
  const target = { ...plain, jobName, jobOptions: { ...plain.jobOptions, ...options } }
  const connection = connect(address(server.port), 'Writer')
  const bull = await openBullQueue(connection, target.queue, target.prefix)
  scope.after(async () => {
    await bull.close()
    await close(connection)
  })
  return { bull, target }
}

const argumentsOf = ({ add, data, options }: Extract<JobCall, { kind: 'Add' }>) => [add, data.toString(), options]

const base64url = fc.stringMatching(/^[A-Za-z0-9_-]{43}$/)
const entryId = fc.tuple(fc.nat({ max: 2 ** 45 }), fc.nat()).map(([ms, sequence]) => `${ms}-${sequence}`)
const trace = fc.record(
  { traceparent: fc.string({ unit: 'grapheme', minLength: 1 }), tracestate: fc.string({ maxLength: 400 }) },
  { requiredKeys: ['traceparent'] },
)
const item: fc.Arbitrary<ForwardItem> = fc.record(
  {
    hash: base64url,
    json: fc.dictionary(fc.string(), fc.jsonValue()).map(jsonOf),
    trace: fc.oneof(fc.constant({}), trace),
    origin: entryId,
    redrives: fc.nat({ max: 3 }),
  },
  { requiredKeys: ['hash', 'json', 'trace'] },
)

const kinds: readonly (readonly [string, Partial<CompiledJobOptions>])[] = [
  ['plain', {}],
  ['delayed', { delay: 5_000 }],
  ['prioritized', { priority: 7 }],
  ['last in, first out', { lifo: true, backoff: { type: 'fixed', delay: 1 }, removeOnFail: true }],
]

for (const [kind, options] of kinds) {
  test(`a ${kind} job is composed as BullMQ composes it`, async (t) => {
    const { bull, target } = await open(t, options)
    let now = 0
    const composer = createJobComposer(bull, target, 'BullMQ', () => now)
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 5 }), fc.integer({ min: 10 ** 12, max: 2 * 10 ** 12 }), async (items, at) => {
        now = at
        const { calls } = await composer.compose(items)
        for (const [index, one] of items.entries()) {
          const id = jobId(target.keys.scope, one.hash)
          const expected = await recordAdd(bull.queue, target.jobName, dataOf(one), jobOptionsOf(target, one, id), at)
          const call = calls[index]
          assert.ok(typeof expected !== 'string' && call?.kind === 'Add')
          assert.deepEqual(argumentsOf(call), expected.args.slice(-3))
          assert.deepEqual(composer.keys, expected.args.slice(0, -3))
        }
      }),
      { seed, numRuns: 60 },
    )
  })
}

for (const [kind, options] of kinds) {
  test(`for the specialised add the options of a ${kind} job are JSON of what BullMQ sends`, async (t) => {
    const { bull, target } = await open(t, options)
    let now = 0
    const composer = createJobComposer(bull, target, 'Specialised', () => now)
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 5 }), fc.integer({ min: 10 ** 12, max: 2 * 10 ** 12 }), async (items, at) => {
        now = at
        const { calls, job } = await composer.compose(items)
        const { delay = 0, priority = 0, lifo = false } = options
        assert.deepEqual(decode(job), { name: target.jobName, time: at, delay, priority, lifo })
        for (const [index, one] of items.entries()) {
          const id = jobId(target.keys.scope, one.hash)
          const expected = await recordAdd(bull.queue, target.jobName, dataOf(one), jobOptionsOf(target, one, id), at)
          const call = calls[index]
          assert.ok(typeof expected !== 'string' && call?.kind === 'Add')
          const [, data, packed] = expected.args.slice(-3)
          assert.deepEqual(JSON.parse(call.options.toString()), decode(Buffer.from(packed ?? '')))
          assert.deepEqual([call.add, call.data.toString()], [undefined, data])
        }
      }),
      { seed, numRuns: 60 },
    )
  })
}

const allow = {
  ...{ names: ['report', 'mail-*'], maxDelay: '8760h', priority: {}, maxAttempts: 9, maxBackoff: '1m', lifo: true },
  ...{ removeOnComplete: true, removeOnFail: true, idempotencyKey: true },
}
/** As few combinations as a program has, and values of its own for each request. */
const asking = fc.record({
  name: fc.constantFrom(undefined, 'report', 'mail-ä'),
  delay: fc.oneof(
    fc.constant(undefined),
    fc.constant(0),
    fc.integer({ min: 1, max: 31_536_000_000 }),
    fc.integer({ min: 1, max: 300 }),
  ),
  priority: fc.constantFrom(undefined, 3),
  idempotencyKey: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }), { nil: undefined }),
  removeOnComplete: fc.constantFrom(undefined, true),
})

for (const [script, belongs] of [
  ['addStandardJob', ({ delay = 0, priority = 0 }) => delay === 0 && priority === 0],
  ['addDelayedJob', ({ delay = 0 }) => delay > 0],
  ['addPrioritizedJob', ({ delay = 0, priority = 0 }) => delay === 0 && priority > 0],
] as const satisfies readonly (readonly [
  string,
  (options: { delay?: number | undefined; priority?: number | undefined }) => boolean,
])[]) {
  test(`requests with options of their own, added by ${script}, are composed as BullMQ composes them`, async (t) => {
    const { bull, target } = await open(t, {})
    const bounds = pipelineWith({ url: server.url, sink: { queue: 'q', allow } }).sink.allow
    const own = belongs({ delay: 1 }) ? { delay: 1 } : belongs({ priority: 1 }) ? { priority: 1 } : {}
    const composer = createJobComposer(bull, target, 'BullMQ', () => 1_800_000_000_000, own)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(item, asking), { maxLength: 5 }), async (drawn) => {
        const items = drawn.map(([plain, wanted]): ForwardItem => {
          const read = readRequest(pairsOf(fieldsOf(belongs(wanted) ? wanted : own, bounds)), bounds)
          assert.ok(read.kind === 'Asked')
          return { ...plain, asked: read.asked }
        })
        const { calls } = await composer.compose(items)
        for (const [index, one] of items.entries()) {
          const id = jobId(target.keys.scope, one.hash)
          const { name, timestamp } = headOf(target, one, 1_800_000_000_000)
          const expected = await recordAdd(bull.queue, name, dataOf(one), jobOptionsOf(target, one, id), timestamp)
          const call = calls[index]
          assert.ok(typeof expected !== 'string' && call?.kind === 'Add')
          assert.deepEqual(argumentsOf(call), expected.args.slice(-3))
        }
      }),
      { seed, numRuns: 200 },
    )
    const likeIt = (key: number): ForwardItem => {
      const read = readRequest(pairsOf(fieldsOf({ ...own, idempotencyKey: `key ${key}` }, bounds)), bounds)
      assert.ok(read.kind === 'Asked')
      return { hash: 'h'.repeat(43), json: jsonOf({ key }), trace: {}, origin: `${key}-1`, asked: read.asked }
    }
    const batch = Array.from({ length: 20 }, (_, key) => likeIt(key))
    await composer.compose(batch)
    const bullMq = t.mock.method(Job.prototype, 'addJob')
    await composer.compose(batch)
    assert.equal(bullMq.mock.callCount(), 0, 'BullMQ still composes requests although requests with the same options came before')
  })
}

const pairsOf = (flat: readonly string[]) =>
  Array.from({ length: flat.length / 2 }, (_, at): [string, string] => [flat[2 * at] ?? '', flat[2 * at + 1] ?? ''])

test('a template is made when the same options have come a few times; it serves every delay and key, and is forgotten at a bound', async () => {
  const made: string[] = []
  const templates = createTemplates(async (shape, own) => {
    made.push(`${shape} ${JSON.stringify(own)}`)
    return made.length
  })
  const find = async (options: object, fields: readonly string[] = []) =>
    await templates.find({ hash: 'h', json: jsonOf({}), trace: {}, origin: '1-1', asked: { options, fields } })
  assert.deepEqual([await find({ delay: 5 }), await find({ delay: 7 }), await find({ delay: 70_000 })], [undefined, undefined, 1])
  assert.equal(await find({ delay: 9 }), 1)
  assert.equal(await find({ delay: 0 }), undefined)
  assert.equal(await find({ delay: 9 }, ['sp-delay', '9']), undefined)
  for (let priority = 1; priority <= 500; priority++) await find({ priority })
  assert.equal(await find({ delay: 9 }), undefined, 'one that came long ago is still kept')
  assert.equal(made.length, 1)
})

test('a template is made once for all that ask while it is made; one that could not be made is tried again', async () => {
  for (const asked of [undefined, { options: { delay: 5 }, fields: [] }]) {
    let [begun, isBroken] = [0, true]
    const templates = createTemplates(async () => {
      begun += 1
      await Promise.resolve()
      if (isBroken) throw new Error('Redis is away')
      return begun
    })
    const find = async () =>
      await templates.find({ hash: 'h', json: jsonOf({}), trace: {}, origin: '1-1', ...(asked === undefined ? {} : { asked }) })
    if (asked !== undefined) for (let times = 1; times < 3; times++) await find()
    const broken = await Promise.allSettled([find(), find(), find()])
    assert.deepEqual(
      broken.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    )
    assert.equal(begun, 1)
    isBroken = false
    let made = await find()
    // Options are counted anew.
    while (made === undefined) made = await find()
    assert.deepEqual([made, ...(await Promise.all([find(), find()]))], [2, 2, 2])
  }
})

test('every shape has a template', async (t) => {
  const { bull, target } = await open(t, {})
  for (const shape of shapes) {
    assert.notEqual(await makeTemplate(bull.queue, target, shape), undefined, shape)
    assert.notEqual(await makeJsonTemplate(bull.queue, target, shape), undefined, shape)
  }
})

test('if a changing part cannot be distinguished from a fixed one, no template is made, and BullMQ is asked', async (t) => {
  const { bull, target } = await open(t, {})
  const model = jobId(target.keys.scope, 'q'.repeat(43))
  const ambiguous = { ...target, jobName: model }
  assert.equal(await makeTemplate(bull.queue, ambiguous, 'Entry'), undefined)
  const one: ForwardItem = { hash: 'h'.repeat(43), json: jsonOf({ a: 1 }), trace: {}, origin: '1-1' }
  const { calls } = await createJobComposer(bull, ambiguous, 'BullMQ', () => 1).compose([one])
  const [call] = calls
  assert.ok(call?.kind === 'Add')
  assert.equal((decode(Buffer.from(call.add ?? '')) as unknown[])[2], model)
})

test('packed texts are a MessagePack list, however much the packer has to grow', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 300 })
  fc.assert(
    fc.property(fc.array(fc.oneof(text, fc.double())), fc.nat({ max: 64 }), (values, capacity) => {
      const packer = createPacker(capacity)
      for (const value of values) {
        if (typeof value === 'string') packer.text(value)
        else packer.integer(value)
      }
      assert.deepEqual(decode(packer.finish()), values)
    }),
    { seed, numRuns: 300 },
  )
})
