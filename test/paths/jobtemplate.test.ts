/** Templates write the bytes that BullMQ itself would have sent, for jobs of every shape and kind. */
import { dataOf, type ForwardItem, jsonOf } from '../../redis/bullmq/item.ts'
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { decode } from '@msgpack/msgpack'
import fc from 'fast-check'
import type { CompiledJobOptions } from '../../api/compiled.ts'
import { createJobComposer } from '../../redis/bullmq/encoder/composer.ts'
import { type JobShape, makeTemplate, type Parts } from '../../redis/bullmq/encoder/template.ts'
import { jobOptionsOf, openBullQueue, recordAdd } from '../../redis/bullmq/queue.ts'
import { close, connect } from '../../redis/connect/connection.ts'
import { jobId } from '../../redis/keys.ts'
import { forwardTarget } from '../../redis/placement.ts'
import { createPacker } from '../../redis/scripts/packer.ts'
import { address, pipelineWith } from '../redis/resource.ts'
import { startRedis } from '../support/redis.ts'
import type { Scope } from '../support/scope.ts'
import { seed } from '../support/seed.ts'

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

const bytes = (parts: Parts) => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))

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
    const composer = createJobComposer(bull, target, () => now)
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 5 }), fc.integer({ min: 10 ** 12, max: 2 * 10 ** 12 }), async (items, at) => {
        now = at
        const calls = await composer.compose(items)
        for (const [index, one] of items.entries()) {
          const id = jobId(target.keys.scope, one.hash)
          const expected = await recordAdd(bull.queue, target.jobName, dataOf(one), jobOptionsOf(target, one, id), at)
          const call = calls[index]
          assert.ok(typeof expected !== 'string' && call?.kind === 'Add')
          const actual = [bytes(call.args), call.data.toString(), bytes(call.options)]
          assert.deepEqual(actual, expected.args.slice(-3))
          assert.deepEqual(composer.keys, expected.args.slice(0, -3))
        }
      }),
      { seed, numRuns: 60 },
    )
  })
}

test('every shape has a template', async (t) => {
  const { bull, target } = await open(t, {})
  for (const shape of shapes) assert.notEqual(await makeTemplate(bull.queue, target, shape), undefined, shape)
})

test('where a changing part cannot be told from what stays there is no template, and BullMQ is asked', async (t) => {
  const { bull, target } = await open(t, {})
  const model = jobId(target.keys.scope, 'q'.repeat(43))
  const ambiguous = { ...target, jobName: model }
  assert.equal(await makeTemplate(bull.queue, ambiguous, 'Entry'), undefined)
  const one: ForwardItem = { hash: 'h'.repeat(43), json: jsonOf({ a: 1 }), trace: {}, origin: '1-1' }
  const [call] = await createJobComposer(bull, ambiguous, () => 1).compose([one])
  assert.ok(call?.kind === 'Add')
  assert.equal((decode(bytes(call.args)) as unknown[])[2], model)
})

test('packed texts are a MessagePack list, however much the packer has to grow', () => {
  const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 300 }))
  fc.assert(
    fc.property(fc.array(fc.array(text, { minLength: 1, maxLength: 4 })), fc.nat({ max: 64 }), (lists, capacity) => {
      const packer = createPacker(capacity)
      for (const parts of lists) packer.joined(parts)
      const expected = lists.map((parts) => bytes(parts).toString('latin1'))
      const actual = (decode(packer.finish(), { rawStrings: true }) as unknown as Uint8Array[]).map((raw) =>
        Buffer.from(raw).toString('latin1'),
      )
      assert.deepEqual(actual, expected)
    }),
    { seed, numRuns: 300 },
  )
})
