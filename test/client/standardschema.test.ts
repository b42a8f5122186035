/** A schema in the application's own tool: it types payloads, is checked first, and is compared with the resource's. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, beforeEach, type TestContext, test } from 'node:test'
import { z } from 'zod'
import { StreamPipelineError } from '../../api/errors.ts'
import type { StreamPipelineInput } from '../../api/schema/pipeline.ts'
import { createDispatcher } from '../../client/dispatcher.ts'
import { payloadSchemaOf, type StandardSchema } from '../../client/standardschema.ts'
import { createWorker } from '../../client/worker.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'

const server = await startRedis({ after })
beforeEach(async () => {
  await server.client().flushall()
})

const schema = z
  .object({ farm: z.int().min(1), kind: z.enum(['ndvi', 'lai']), note: z.string().optional() })
  .refine(({ kind, note }) => kind === 'ndvi' || note !== undefined, { path: ['note'], message: 'lai needs a note' })

const pipeline = (payload: object): StreamPipelineInput => ({
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'farms' },
  spec: {
    redis: { url: server.url },
    source: { stream: 'farms', group: 'farms' },
    payload,
    sink: { bullmq: { queue: 'farms' } },
    mode: 'Direct',
  },
})

function open(t: TestContext, payload: object) {
  const reported: string[] = []
  const dispatcher = createDispatcher({
    ...{ pipeline: pipeline(payload), env: {}, schema },
    onError: ({ code, message }) => reported.push(`${code}: ${message}`),
  })
  t.after(() => dispatcher.close())
  return { dispatcher, reported }
}

const rejected = (code: string, message: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof StreamPipelineError, String(thrown))
  assert.equal(thrown.code, code)
  assert.match(thrown.message, message)
  return true
}

test('it types and checks what is dispatched, refinements included, and types the worker', async (t) => {
  const { dispatcher, reported } = open(t, { schema: payloadSchemaOf(schema) })
  await dispatcher.dispatch({ farm: 7, kind: 'ndvi' })
  // @ts-expect-error: of another type
  await assert.rejects(dispatcher.dispatch({ farm: 'seven', kind: 'ndvi' }), rejected('PayloadRejected', /"farm"/))
  await assert.rejects(dispatcher.dispatch({ farm: 1, kind: 'lai' }), rejected('PayloadRejected', /"note": lai needs a note/))
  await assert.rejects(
    dispatcher.dispatchMany([
      { farm: 1, kind: 'ndvi' },
      { farm: 0, kind: 'ndvi' },
    ]),
    rejected('PayloadRejected', /payload 1 of the list: "farm"/),
  )
  assert.deepEqual(reported, [])
  const farms: number[] = []
  const worker = createWorker({
    ...{ queue: 'farms', redis: server.url, schema },
    execute: ({ farm, kind }) => {
      const known: 'ndvi' | 'lai' = kind
      assert.equal(known, 'ndvi')
      farms.push(farm)
    },
  })
  t.after(() => worker.close())
  await worker.start()
  await eventually(() => assert.deepEqual(farms, [7]))
})

test('a resource with another schema, or none, is reported once, by where they differ', async (t) => {
  const json = payloadSchemaOf(schema)
  const other = { ...json, required: ['kind'], properties: { ...(json['properties'] as object), farm: { type: 'string' } } }
  const differing = open(t, { schema: other })
  await differing.dispatcher.dispatch({ farm: 7, kind: 'ndvi' }).catch(() => undefined)
  await differing.dispatcher.dispatch({ farm: 8, kind: 'ndvi' }).catch(() => undefined)
  assert.equal(differing.reported.length, 1)
  assert.match(differing.reported[0] ?? '', /^SchemaDiffers: .*properties\.farm\.type.*required/)
  assert.match(open(t, {}).reported[0] ?? '', /^SchemaDiffers: .*the resource has no schema/)
  const described = { ...json, title: 'Farms', required: (json['required'] as string[]).toReversed() }
  assert.deepEqual(open(t, { schema: described }).reported, [])
})

const unusable: readonly (readonly [what: string, schema: StandardSchema, message: RegExp])[] = [
  ['a transform', z.object({ at: z.string().transform(Number) }), /no JSON Schema.*[Tt]ransform/],
  ['a default', z.object({ kind: z.string().default('ndvi') }), /changes values at required/],
  ['a date', z.object({ at: z.date() }), /no JSON Schema/],
  ['no JSON Schema', { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } }, /exports no JSON Schema/],
]
for (const [what, given, message] of unusable) {
  test(`a schema with ${what} is refused when the dispatcher is made`, () => {
    assert.throws(() => createDispatcher({ pipeline: pipeline({}), env: {}, schema: given }), rejected('InvalidOption', message))
  })
}
