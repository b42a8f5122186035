/** The codec against hostile entries: it decides about each of them, soon, and leaves no trace in the process. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compilePayloadSchema } from '../../../api/validation/payload-schema.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { payloadWith } from '../../redis/resource.ts'
import { seed } from '../../support/seed.ts'
import { createRandom, hostileFields } from './payloads.ts'

/** STREAMPIPELINE_CASES=1000000 for a trial. */
const cases = Number(process.env['STREAMPIPELINE_CASES'] ?? 4_000)

/** The longest time for an entry of 256 KiB: some hundred times that of a usual one. */
const patienceMs = 1_500

/** CPU time of this thread alone: other tests do not count. */
const busyMs = () => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

const schema = {
  type: 'object',
  properties: {
    k: { type: ['string', 'integer', 'object'], pattern: '^(a+)+$', maxProperties: 5 },
    n: { type: 'number', multipleOf: 0.01 },
    list: {
      type: 'array',
      uniqueItems: true,
      items: { anyOf: [{ type: 'string', format: 'email' }, { type: 'object' }, { $ref: '#' }] },
    },
    payload: { type: 'string', format: 'url' },
    meta: { $ref: '#' },
  },
  patternProperties: { '(x+x+)+y': { type: 'string' } },
  propertyNames: { pattern: '(.*)(.*)(.*)[^!]$' },
}

const codecs = {
  'fields, no schema': payloadWith({}),
  'fields, a schema': payloadWith({ schema }),
  'fields, a key': payloadWith({ idempotencyKey: ['k'] }),
  'fields, a strange key': payloadWith({ idempotencyKey: ['__proto__'] }),
  'JSON, no schema': payloadWith({ encoding: 'Json', field: 'k' }),
  'JSON, a schema and a key': payloadWith({ encoding: 'Json', field: 'k', schema, idempotencyKey: ['k'] }),
}

for (const [what, payload] of Object.entries(codecs)) {
  test(`${Math.ceil(cases / 6)} hostile entries, seeded, ${what}`, () => {
    const codec = createCodec(payload)
    const random = createRandom(seed)
    const before = Object.getOwnPropertyNames(Object.prototype).length
    let valid = 0
    for (let i = 0; i < cases / 6; i++) {
      const flat = hostileFields(random)
      const begun = busyMs()
      const decoded = codec.decode(flat)
      const took = busyMs() - begun
      const reported = `case ${i} of seed ${seed}`
      assert.ok(took < patienceMs, `${reported}: ${Math.round(took)} ms`)
      assert.ok(Number.isSafeInteger(decoded.redrives) && decoded.redrives >= 0, reported)
      if (decoded.kind === 'Invalid') {
        assert.ok(decoded.error.length < 2_000, reported)
        continue
      }
      valid += 1
      assert.match(decoded.hash, /^[\w-]{43}$/, reported)
      // A worker gets the validated payload, and a second decision would be the same.
      const text = JSON.stringify(decoded.data)
      assert.equal(JSON.stringify(JSON.parse(text)), text, reported)
      const again = codec.decode(codec.restore(decoded.data).map((part) => Buffer.from(part)))
      if (again.kind === 'Valid') assert.deepEqual(again.data, JSON.parse(text), reported)
    }
    assert.equal(Object.getOwnPropertyNames(Object.prototype).length, before)
    assert.equal(Reflect.get({}, 'polluted'), undefined)
    if (!what.includes('schema') || what.includes('no schema')) assert.ok(valid > 0, 'nothing was valid: the cases are no good')
  })
}

test('names of the prototype are names like others', () => {
  const codec = createCodec(payloadWith({}))
  const decoded = codec.decode(['__proto__', 'a', 'constructor', 'b', 'toString', 'c'].map((text) => Buffer.from(text)))
  assert.ok(decoded.kind === 'Valid')
  assert.equal(JSON.stringify(decoded.data), '{"__proto__":"a","constructor":"b","toString":"c"}')
  assert.equal(Object.getPrototypeOf(decoded.data), Object.prototype)
})

test('numbers that no double holds are refused wherever they stand; those it holds go through', () => {
  const codec = createCodec(payloadWith({ encoding: 'Json', field: 'k' }))
  const kindOf = (text: string) => codec.decode([Buffer.from('k'), Buffer.from(text)]).kind
  for (const number of ['1e400', '-1E+400', '9'.repeat(400), '9007199254740993', '1e0309', '1e-400']) {
    assert.equal(kindOf(`{"a":${number}}`), 'Invalid', number)
    assert.equal(kindOf(`{"a":[{"b":[${number}]}]}`), 'Invalid', number)
  }
  for (const number of ['1e308', '9007199254740991', '0.30000000000000004', '1e-308', '-0', '1e+21']) {
    assert.equal(kindOf(`{"a":${number}}`), 'Valid', number)
  }
  assert.equal(kindOf(`{"a":"1e400 and 12345678901234567890"}`), 'Valid', 'text is text')
})

test('sp-redrives is a count or nothing', () => {
  const codec = createCodec(payloadWith({}))
  const redrives = (text: string) => codec.decode(['a', '1', 'sp-redrives', text].map((part) => Buffer.from(part))).redrives
  assert.deepEqual(
    ['7', '', '-1', '1.5', 'Infinity', '1e3', '0x10', '9'.repeat(30), 'x'.repeat(70_000)].map(redrives),
    [7, 0, 0, 0, 0, 0, 0, 0, 0],
  )
})

describe('what costs a naive validator minutes costs milliseconds', () => {
  const long = 200_000
  const nested = (depth: number) => {
    let inner: object = {}
    for (let i = 0; i < depth; i++) inner = { a: inner }
    return inner
  }
  const string = (more: object) => ({ type: 'object', properties: { a: { type: 'string', ...more } } })
  const twice = { type: 'object', properties: { a: { $ref: '#/$defs/node' } } }
  const costly: [what: string, schema: Record<string, unknown>, payload: object, valid?: boolean][] = [
    ...['^(a+)+$', '(a|aa)+$', '(.*a){20}!', '^(\\w+\\s?)*$', '(x+x+)+y', '([a-z]+)*[A-Z]'].map(
      (pattern): [string, Record<string, unknown>, object] => [
        `pattern ${pattern}`,
        string({ pattern }),
        { a: `${'a'.repeat(20_000)}!` },
      ],
    ),
    [
      'uniqueItems of objects',
      { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } },
      { a: Array.from({ length: 80_000 }, (_, i) => ({ i })) },
      true,
    ],
    [
      'uniqueItems of empty lists',
      { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } },
      { a: Array.from({ length: long }, () => []) },
      false,
    ],
    [
      'references that lead back twice',
      { ...twice, $defs: { node: { type: 'object', allOf: [twice, { ...twice }] } } },
      nested(90),
      false,
    ],
    ['references that lead back once', { ...twice, $defs: { node: twice } }, nested(90), true],
    ['format url', string({ format: 'url' }), { a: `http://${':'.repeat(long)}` }, false],
    ...[
      'email',
      'uri',
      'uri-reference',
      'uri-template',
      'hostname',
      'ipv6',
      'date-time',
      'duration',
      'json-pointer',
      'byte',
      'uuid',
      'regex',
    ].map((format): [string, Record<string, unknown>, object] => [
      `format ${format}`,
      string({ format }),
      { a: 'a.'.repeat(long / 2) },
    ]),
    ['maxLength of surrogates', string({ maxLength: 10 }), { a: '\ud83d\ude00'.repeat(long) }, false],
    [
      'a thousand names',
      { type: 'object', propertyNames: { pattern: '^(a+)+$' }, additionalProperties: true },
      Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`${'a'.repeat(60)}${i}`, 1])),
      false,
    ],
  ]
  for (const [what, wanted, payload, valid] of costly) {
    test(what, () => {
      const validate = compilePayloadSchema(wanted)
      const begun = busyMs()
      const verdict = validate(payload)
      const took = busyMs() - begun
      if (valid !== undefined) assert.equal(verdict, valid)
      assert.ok(took < patienceMs, `${Math.round(took)} ms`)
    })
  }

  test('each pattern of a schema is its own', () => {
    const text = (pattern: string) => ({ type: 'string', pattern })
    const properties = { a: text('^(a+)+$'), b: text('^(b+)+$'), c: text('(c|d)e$'), d: text('^d+$') }
    const validate = compilePayloadSchema({ type: 'object', properties })
    const good = { a: 'aa', b: 'bb', c: 'xde', d: 'dd' }
    assert.equal(validate(good), true)
    for (const name of Object.keys(good)) assert.equal(validate({ ...good, [name]: 'zz!' }), false, name)
  })

  test('uniqueItems means what JSON Schema means', () => {
    const validate = compilePayloadSchema({ type: 'object', properties: { a: { type: 'array', uniqueItems: true } } })
    const verdict = (...a: unknown[]) => validate({ a })
    assert.equal(verdict(1, '1', [1], ['1'], { a: 1 }, { a: '1' }, null, 'null', true, 'true', {}, []), true)
    assert.equal(verdict({ x: 1, y: [2, { p: 1, q: 2 }] }, { y: [2, { q: 2, p: 1 }], x: 1 }), false)
    assert.equal(verdict(1, 1), false)
    assert.equal(verdict([], []), false)
  })
})
