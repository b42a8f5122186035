import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { StreamPipelineError } from '../../../api/errors.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { seed } from '../../support/seed.ts'
import { payloadWith } from '../resource.ts'

type Part = string | Buffer
const flat = (...parts: Part[]) => parts.map((part) => Buffer.from(part as string))
const codecOf = (payload: object = {}) => createCodec(payloadWith(payload))
const json = { encoding: 'Json', field: 'payload' }

function valid(payload: object, ...parts: Part[]) {
  const decoded = codecOf(payload).decode(flat(...parts))
  if (decoded.kind !== 'Valid') throw new Error(`${decoded.reason}: ${decoded.error}`)
  return decoded
}

function refused(payload: object, ...parts: Part[]) {
  const decoded = codecOf(payload).decode(flat(...parts))
  if (decoded.kind !== 'Invalid') throw new Error(`accepted: ${JSON.stringify(decoded.data)}`)
  return decoded
}

const typed = (type: unknown) => ({ schema: { type: 'object', properties: { f: type } } })
const coercions = [
  ['integer', '12', 12],
  ['number', '-1.5e3', -1500],
  ['boolean', 'true', true],
  ['boolean', 'false', false],
  ['null', 'null', null],
  ['string', '12', '12'],
  ['object', '{"a":[1]}', { a: [1] }],
  ['array', '[1,"2"]', [1, '2']],
] as const
for (const [type, text, value] of coercions) {
  test(`the text ${text} of a field that is ${type} becomes ${JSON.stringify(value)}`, () => {
    assert.deepEqual(valid(typed({ type }), 'f', text).data, { f: value })
  })
}

test('text that also may be a string stays text; enum and const say the type as well', () => {
  assert.deepEqual(valid(typed({ type: ['string', 'integer'] }), 'f', '1').data, { f: '1' })
  assert.deepEqual(valid(typed({ enum: [1, 2] }), 'f', '2').data, { f: 2 })
  assert.deepEqual(valid(typed({ const: true }), 'f', 'true').data, { f: true })
})

for (const text of ['', ' 1', '1 ', '0x10', '01', '1e999', 'NaN', 'Infinity', '9007199254740993', '+1', '1.', '.5', '1_000']) {
  test(`${JSON.stringify(text)} is no integer: a schema violation that names the field, not the value`, () => {
    const { reason, error } = refused(typed({ type: 'integer' }), 'f', text)
    assert.equal(reason, 'SchemaViolation')
    assert.match(error, /^f must be integer$/)
  })
}

test('every reason for refusing, each named', () => {
  const table: [payload: object, parts: Part[], reason: string, error: RegExp][] = [
    [{ maxBytes: 10 }, ['field', 'longer'], 'PayloadTooLarge', /11 bytes are more than payload\.maxBytes 10/],
    [{ maxFields: 2 }, ['a', '1', 'b', '2', 'c', '3'], 'TooManyFields', /3 fields are more than payload\.maxFields 2/],
    [{}, ['a', '1', 'a', '2'], 'InvalidPayload', /field "a" occurs twice/],
    [{}, [Buffer.from([0xff]), '1'], 'InvalidPayload', /a field name is not UTF-8/],
    [{}, ['a', Buffer.from([0xc3, 0x28])], 'InvalidPayload', /field "a" is not UTF-8/],
    [{ idempotencyKey: ['id'] }, ['a', '1'], 'InvalidPayload', /field "id" of the idempotency key is missing/],
    [json, ['other', '{}'], 'InvalidPayload', /field "payload", which holds the payload, is missing/],
    [json, ['payload', '{}', 'other', '1'], 'InvalidPayload', /field "other" is beside the payload/],
    [json, ['payload', '[1]'], 'InvalidPayload', /holds a list, not a JSON object/],
    [json, ['payload', 'null'], 'InvalidPayload', /not a JSON object/],
    [json, ['payload', '{'], 'InvalidPayload', /is not JSON/],
    [json, ['payload', `{"a":${'['.repeat(200)}${']'.repeat(200)}}`], 'InvalidPayload', /nests deeper than 100 levels/],
    [{ ...json, idempotencyKey: ['id'] }, ['payload', '{"id":null}'], 'InvalidPayload', /field "id" of the idempotency key/],
    [
      { schema: { type: 'object', properties: { a: {} }, required: ['a'] } },
      ['b', '1'],
      'SchemaViolation',
      /required property 'a'/,
    ],
  ]
  for (const [payload, parts, reason, error] of table) {
    const found = refused(payload, ...parts)
    assert.equal(found.reason, reason, found.error)
    assert.match(found.error, error)
  }
})

test('no message shows a value of the payload', () => {
  const secret = 'hunter2'
  const cases: [object, Part[]][] = [
    [json, ['payload', secret]],
    [json, ['payload', `{"a": ${secret}}`]],
    [json, ['payload', `"${secret}"`]],
    [typed({ type: 'integer' }), ['f', secret]],
    [typed({ enum: ['a', 'b'] }), ['f', secret]],
    [typed({ type: 'string', pattern: '^x$' }), ['f', secret]],
    [typed({ type: 'string', format: 'date-time' }), ['f', secret]],
    [{ maxBytes: 4 }, ['f', secret]],
  ]
  for (const [payload, parts] of cases) {
    const { error } = refused(payload, ...parts)
    assert.ok(!error.includes(secret) && !error.includes('hunt'), error)
  }
})

test('trace context and sp-* fields are taken off before anything is checked', () => {
  const payload = {
    maxFields: 1,
    schema: { type: 'object', additionalProperties: false, properties: { a: { type: 'integer' } } },
  }
  const bare = valid(payload, 'a', '1')
  const dressed = valid(payload, 'traceparent', '00-1-2-01', 'sp-redrives', '3', 'a', '1', 'tracestate', 'x=y', 'sp-new', '')
  assert.deepEqual(dressed.data, { a: 1 })
  assert.deepEqual(dressed.trace, { traceparent: '00-1-2-01', tracestate: 'x=y' })
  assert.equal(dressed.redrives, 3)
  assert.equal(dressed.hash, bare.hash)
  assert.deepEqual(valid(json, 'payload', '{}', 'traceparent', 't').data, {})
  assert.equal(refused({ maxBytes: 30 }, 'sp-redrives', '2', 'a', 'x'.repeat(30)).redrives, 2)
})

test('a field called __proto__ is data like any other', () => {
  const decoded = valid({}, '__proto__', 'x', 'constructor', 'y')
  assert.deepEqual(Object.entries(decoded.data), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ])
  assert.equal(Object.getPrototypeOf(decoded.data), Object.prototype)
  const document = valid(json, 'payload', '{"__proto__":{"admin":true}}').data
  assert.equal(Reflect.get(document, 'admin'), undefined)
  assert.equal(JSON.stringify(document), '{"__proto__":{"admin":true}}')
  assert.equal(refused({ ...json, idempotencyKey: ['toString'] }, 'payload', '{}').reason, 'InvalidPayload')
})

test('deep values inside a field are refused, whatever the schema recurses into', () => {
  const schema = {
    type: 'object',
    properties: { f: { $ref: '#/$defs/tree' } },
    $defs: { tree: { type: 'array', items: { $ref: '#/$defs/tree' } } },
  }
  const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
  for (const type of [{ schema }, typed({ type: 'array' })]) {
    for (const levels of [200, 50_000]) assert.equal(refused(type, 'f', deep(levels)).kind, 'Invalid')
  }
  assert.equal(refused(json, 'payload', `{"a":${deep(50_000)}}`).reason, 'InvalidPayload')
})

test('numbers that a JSON document would lose are refused, text is not', () => {
  assert.match(refused(json, 'payload', '{"id":9007199254740993}').error, /cannot be held exactly/)
  assert.match(refused(json, 'payload', '{"a":[{"id":-123456789012345678901}]}').error, /cannot be held exactly/)
  assert.equal(valid(json, 'payload', '{"id":"9007199254740993"}').data['id'], '9007199254740993')
  assert.match(refused(json, 'payload', '{"x":0.12345678901234566789}').error, /cannot be held exactly/)
  assert.equal(valid(json, 'payload', '{"x":0.12345678901234566}').data['x'], 0.12345678901234566)
  assert.equal(valid(json, 'payload', '{"x":9007199254740991}').data['x'], 9007199254740991)
})

test('the key is the same for a number and its text, and joined fields are not confused', () => {
  const keyed = { idempotencyKey: ['a', 'b'] }
  const hash = (...parts: Part[]) => valid(keyed, ...parts).hash
  assert.equal(hash('a', '1', 'b', 'x'), hash('b', 'x', 'a', '1', 'c', 'beside the key'))
  assert.notEqual(hash('a', '1,2', 'b', '3'), hash('a', '1', 'b', '2,3'))
  const document = (text: string) => valid({ ...json, ...keyed }, 'payload', text).hash
  assert.equal(document('{"a":1,"b":"x"}'), document('{"b":"x","a":"1"}'))
  assert.equal(document('{"a":1,"b":"x"}'), hash('a', '1', 'b', 'x'))
  assert.equal(document('{"a":{"p":1,"q":2},"b":1}'), document('{"b":1,"a":{"q":2,"p":1}}'))
  assert.equal(valid(json, 'payload', '{"a":1,"b":2}').hash, valid(json, 'payload', '{"b":2,  "a":1}').hash)
  assert.equal(valid({}, 'a', '1', 'b', '2').hash, valid({}, 'b', '2', 'a', '1').hash)
})

test('a number dispatched and its text dispatched have one key', () => {
  const codec = codecOf({ ...typed({ type: 'integer' }), idempotencyKey: ['f'] })
  const keyOf = (payload: object) => codec.decode(codec.encode(payload).map((text) => Buffer.from(text)))
  assert.deepEqual(keyOf({ f: 1 }), keyOf({ f: '1' }))
})

const member = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.integer(),
  fc.boolean(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)
const name = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !/^(sp-|traceparent$|tracestate$)/.test(text))

test('what is encoded decodes to itself, and the key stands still: documents', () => {
  const codec = codecOf({ ...json, maxBytes: '1Mi' })
  const safe = (value: unknown): boolean => typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)
  const document = fc.dictionary(name, fc.oneof(member.filter(safe), fc.array(member.filter(safe), { maxLength: 4 })))
  fc.assert(
    fc.property(document, (payload) => {
      const once = codec.decode(codec.encode(payload).map((text) => Buffer.from(text)))
      assert.ok(once.kind === 'Valid')
      assert.deepEqual(once.data, JSON.parse(JSON.stringify(payload)))
      const twice = codec.decode(codec.encode(once.data).map((text) => Buffer.from(text)))
      assert.ok(twice.kind === 'Valid' && twice.hash === once.hash)
    }),
    { seed },
  )
})

test('what is encoded decodes to itself, and the key stands still: fields with a schema', () => {
  const properties = {
    s: { type: 'string' },
    i: { type: 'integer' },
    n: { type: 'number' },
    b: { type: 'boolean' },
    o: { type: 'object' },
    a: { type: 'array' },
  }
  const codec = codecOf({ schema: { type: 'object', properties, additionalProperties: false } })
  const payload = fc.record(
    {
      s: fc.string({ unit: 'grapheme' }),
      i: fc.integer(),
      n: fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Number.isInteger(n) || Number.isSafeInteger(n)),
      b: fc.boolean(),
      o: fc.dictionary(name, fc.string({ unit: 'grapheme' })),
      a: fc.array(fc.integer()),
    },
    { requiredKeys: ['s'] },
  )
  fc.assert(
    fc.property(payload, (given) => {
      const encoded = codec.encode(given)
      const once = codec.decode(encoded.map((text) => Buffer.from(text)))
      assert.ok(once.kind === 'Valid')
      assert.deepEqual(once.data, JSON.parse(JSON.stringify(given)))
      assert.deepEqual(codec.encode(once.data), encoded)
    }),
    { seed },
  )
})

test('any bytes decode to something or are refused; nothing throws', () => {
  const bytes = fc
    .oneof(
      fc.uint8Array(),
      fc.string().map((text) => Buffer.from(text)),
    )
    .map((part) => Buffer.from(part))
  const codecs = [codecOf(), codecOf(json), codecOf(typed({ type: ['integer', 'null'] }))]
  fc.assert(
    fc.property(fc.array(fc.tuple(bytes, bytes)), (pairs) => {
      for (const codec of codecs) codec.decode(pairs.flat())
    }),
    { seed, numRuns: 500 },
  )
})

test('payloads that cannot travel are rejected by the encoder, by name', () => {
  const loop: Record<string, unknown> = {}
  loop['self'] = loop
  let deep: unknown = []
  for (let i = 0; i < 20_000; i++) deep = [deep]
  const cases: [object, object][] = [
    [{}, loop],
    [{}, []],
    [{}, {}],
    [{}, { nothing: undefined }],
    [{}, { 'sp-mine': 1 }],
    [{}, { traceparent: 'x' }],
    [{}, { big: 1n }],
    [{ maxBytes: 5 }, { a: 'much too long' }],
    [{ idempotencyKey: ['id'] }, { a: 1 }],
    [json, { deep }],
    [typed({ type: 'integer' }), { f: 1.5 }],
  ]
  for (const [payload, given] of cases) {
    assert.throws(
      () => codecOf(payload).encode(given),
      (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'PayloadRejected',
    )
  }
})

test('trace context is encoded beside the payload', () => {
  const codec = codecOf(json)
  const encoded = codec.encode({ at: new Date(0) }, { traceparent: 'p', tracestate: 's' })
  assert.deepEqual(encoded, ['payload', '{"at":"1970-01-01T00:00:00.000Z"}', 'traceparent', 'p', 'tracestate', 's'])
})
