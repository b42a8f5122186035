/**
 * Text to value, by every part of a JSON Schema 2020-12 that types a field: generators write a nullable integer as `anyOf`, a
 * shared type as `$ref`, a map as `additionalProperties`.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { createCodec } from '../../../redis/payload/codec.ts'
import { openPath } from '../../paths/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { payloadWith } from '../resource.ts'

const integer = { type: 'integer' }
const nothing = { type: 'null' }
const field = (schema: object) => ({ properties: { f: schema } })

type Case = readonly [what: string, schema: object, ...payloads: object[]]

/** A schema beside `type: object`, and payloads that it accepts. */
const typed: readonly Case[] = [
  ['anyOf', field({ anyOf: [integer, nothing] }), { f: 7 }, { f: null }],
  ['anyOf in anyOf', field({ anyOf: [{ anyOf: [integer, nothing] }, { type: 'boolean' }] }), { f: 7 }, { f: true }],
  ['anyOf beside a default', field({ anyOf: [integer, nothing], default: null }), { f: 7 }],
  ['oneOf', field({ oneOf: [integer, nothing] }), { f: 7 }, { f: null }],
  ['oneOf of list and object', field({ oneOf: [{ type: 'array' }, { type: 'object' }] }), { f: [1] }, { f: { a: 1 } }],
  ['allOf', field({ allOf: [integer, { ...integer, minimum: 1 }] }), { f: 7 }],
  ['allOf that narrows', field({ allOf: [{ type: ['integer', 'string'] }, integer] }), { f: 7 }],
  ['$ref to a number', { ...field({ $ref: '#/$defs/n' }), $defs: { n: integer } }, { f: 7 }],
  [
    '$ref to an object',
    { ...field({ $ref: '#/$defs/o' }), $defs: { o: { type: 'object', ...field(integer) } } },
    { f: { f: 1 } },
  ],
  ['$ref to a $ref', { ...field({ $ref: '#/$defs/a' }), $defs: { a: { $ref: '#/$defs/b' }, b: integer } }, { f: 7 }],
  ['$ref within anyOf', { ...field({ anyOf: [{ $ref: '#/$defs/n' }, nothing] }), $defs: { n: integer } }, { f: 7 }],
  ['$ref of the whole', { $ref: '#/$defs/whole', $defs: { whole: { type: 'object', ...field(integer) } } }, { f: 7 }],
  ['enum of number and text', field({ enum: [1, 'auto'] }), { f: 1 }],
  ['enum of null and text', field({ enum: [null, 'auto'] }), { f: null }],
  ['additionalProperties', { additionalProperties: integer }, { f: 7 }],
  [
    'additionalProperties beside others',
    { properties: { k: { type: 'string' } }, additionalProperties: integer },
    { k: '1', f: 7 },
  ],
  ['unevaluatedProperties', { unevaluatedProperties: integer }, { f: 7 }],
  ['patternProperties', { patternProperties: { '^is_': { type: 'boolean' } } }, { is_new: true }],
  ['allOf of objects', { allOf: [field(integer), { properties: { g: { type: 'boolean' } } }] }, { f: 7, g: true }],
  [
    'anyOf of objects',
    {
      anyOf: [
        { type: 'object', ...field(integer) },
        { type: 'object', ...field(nothing) },
      ],
    },
    { f: 7 },
  ],
]

/** A field that may be text stays text, in each form of such a schema. */
const text: readonly Case[] = [
  ['anyOf with text', field({ anyOf: [integer, { type: 'string' }] }), { f: '7' }, { f: 'x' }],
  ['$ref to text', { ...field({ $ref: '#/$defs/t' }), $defs: { t: { type: 'string' } } }, { f: '7' }],
  ['enum of number and text', field({ enum: [1, 'auto'] }), { f: 'auto' }],
  ['additionalProperties with text', { additionalProperties: { type: ['integer', 'string'] } }, { f: '7' }],
]

const written = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

function follow([what, schema, ...payloads]: Case) {
  for (const payload of payloads) {
    test(`promise: ${what}: ${JSON.stringify(payload)}`, () => {
      const codec = createCodec(payloadWith({ schema: { type: 'object', ...schema } }))
      const texts = Object.entries(payload).flatMap(([name, value]) => [name, written(value)])
      const decoded = codec.decode(texts.map((part) => Buffer.from(part)))
      assert.ok(decoded.kind === 'Valid', `an entry is refused: ${decoded.kind === 'Invalid' ? decoded.error : ''}`)
      assert.deepEqual(decoded.data, payload)
      assert.deepEqual(codec.encode(payload), texts, 'a dispatcher adds what another producer adds')
    })
  }
}

describe('a field gets the type that the schema gives it:', () => {
  for (const schema of typed) follow(schema)
  for (const schema of text) follow(schema)
})

test('promise: an entry of another producer with a nullable integer becomes a job, not a dead letter', async (t) => {
  const server = await startRedis({ after })
  const properties = { k: { type: 'string' }, retries: { anyOf: [integer, nothing], default: null } }
  const path = await openPath(
    t,
    'Atomic',
    { stream: server, queue: server },
    { payload: { schema: { type: 'object', properties } } },
  )
  await path.put('k', 'a')
  await path.put('k', 'b', 'retries', '3')
  await path.put('k', 'c', 'retries', 'null')
  await path.settle(await path.read())
  assert.deepEqual(
    (await path.dead()).map(({ error }) => error),
    [],
  )
  const jobs = await Promise.all(['a', 'b', 'c'].map((key) => path.queueClient.hget(path.jobKey(key), 'data')))
  assert.deepEqual(
    jobs.map((data) => JSON.parse(data ?? '{}') as unknown),
    [{ k: 'a' }, { k: 'b', retries: 3 }, { k: 'c', retries: null }],
  )
})
