/** Numbers and names as JSON has them: whatever would be altered is refused, in documents and in fields alike; all else goes through. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isHeld } from '../../../api/heldnumbers.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { parseExactly } from '../../../redis/payload/json.ts'
import { payloadWith } from '../../redis/resource.ts'
import { seed } from '../../support/seed.ts'

const fields = createCodec(payloadWith({ schema: { type: 'object', properties: { f: { type: 'number' } } } }))
const documents = createCodec(payloadWith({ encoding: 'Json', field: 'body' }))
const inField = createCodec(payloadWith({ schema: { type: 'object', properties: { f: { type: 'array' } } } }))
const bytes = (...texts: string[]) => texts.map((text) => Buffer.from(text))

/** The number by each way in; undefined: refused. */
function readings(text: string): unknown[] {
  const decoded = [
    fields.decode(bytes('f', text)),
    documents.decode(bytes('body', `{"f":${text}}`)),
    documents.decode(bytes('body', `{"a":[{"f":"1"}, {"x" :[ ${text} ,"\\"7"]}],"f":${text}}`)),
    inField.decode(bytes('f', `[ ${text}]`)),
  ]
  return decoded.map((one) => (one.kind === 'Invalid' ? undefined : [one.data['f']].flat()[0]))
}

const altered = [
  '9007199254740993',
  '-9007199254740993',
  '9007199254740993.0',
  '90071992547409930e-1',
  '9007199254740993e0',
  '1e400',
]
  .concat([
    '-1E+400',
    '1e-400',
    '-1e-400',
    '0.1234567890123456789',
    '123456789.123456789012',
    '123456789012345678901',
    '9007199254740993.5',
  ])
  .concat(['72057594037927940', '12345678901234567890', '100000000000000001e-1', `0.${'0'.repeat(400)}1`, `1${'0'.repeat(400)}`])
  .concat(['9007199254740995E0', '0.1000000000000000055511151231257827'])
const held = [
  '0',
  '-0',
  '0.0',
  '-0.0e5',
  '7',
  '1e3',
  '1.0',
  '1E+3',
  '100e-2',
  '9007199254740992',
  '9007199254740992.0',
  '9007199254740994',
]
  .concat([
    '72057594037927936',
    '1e22',
    '1e23',
    '6.02214076e23',
    '5e-324',
    '2.2250738585072014e-308',
    '1.7976931348623157e308',
    '0.1',
  ])
  .concat([
    '0.10000000000000001',
    '0.30000000000000004',
    `1.${'0'.repeat(40)}`,
    `1${'0'.repeat(22)}`,
    `${'0.'}${'0'.repeat(30)}1`,
    '1e0000000003',
  ])

for (const text of altered) {
  test(`${text.slice(0, 40)} is refused`, () => assert.deepEqual(readings(text), [undefined, undefined, undefined, undefined]))
}
for (const text of held) {
  test(`${text.slice(0, 40)} goes through`, () => {
    for (const value of readings(text)) assert.ok(value === Number(text), String(value))
  })
}

test('every double goes through as printf prints it with 17 digits, and is refused with an 18th digit of 1', () => {
  const double = fc.double({ noNaN: true, noDefaultInfinity: true })
  fc.assert(
    fc.property(double, (value) => {
      const text = value.toExponential(16)
      assert.ok(isHeld(text), text)
      assert.ok(isHeld(value.toPrecision(17)), value.toPrecision(17))
      if (value !== 0) assert.ok(!isHeld(`${value.toExponential(16).replace('e', '1e')}`))
    }),
    { seed, numRuns: 5_000 },
  )
})

test('an integer in plain digits goes through where the double equals it', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 17n - 1n }), (value) => {
      assert.equal(isHeld(String(value)), BigInt(Number(value)) === value, String(value))
      assert.equal(isHeld(`${value}.00`), BigInt(Number(value)) === value)
      assert.equal(isHeld(`${value}0e-1`), BigInt(Number(value)) === value)
    }),
    { seed, numRuns: 5_000 },
  )
})

test('a dispatcher says any double, and it arrives', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (f) => {
      for (const codec of [fields, documents]) {
        const decoded = codec.decode(bytes(...codec.encode({ f })))
        assert.ok(decoded.kind === 'Valid' && decoded.data['f'] === f)
      }
    }),
    { seed, numRuns: 2_000 },
  )
})

test('NaN and the infinities are refused by name, wherever they stand', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const codec of [fields, documents]) {
      assert.throws(() => codec.encode({ f: value }), /"f" is NaN or infinite/)
      assert.throws(() => codec.encode({ list: [{ deep: value }] }), /"deep" is NaN or infinite/)
    }
  }
})

const twice = [
  '{"a":1,"a":1}',
  '{"a":1,"b":2,"a":3}',
  '{"a":1,"\\u0061":2}',
  '{"x":{"y":[{"a":1,"a":2}]}}',
  '{"":1,"":2}',
  '{"__proto__":1,"__proto__":2}',
].concat(['{"a\\\\":1,"a\\\\":2}', '{"a":{"b":1},"a":{"c":2,"d":3}}', '{"a" :1 , "a":null}', '{"\\ud83d\\ude00":1,"😀":2}'])
const once = [
  '{"a":":","b":"{\\"a\\":1,\\"a\\":2}"}',
  '{"a":{"a":{"a":1}}}',
  '[{"a":1},{"a":2}]',
  '{"a\\\\":1,"a":2}',
  '{"\\"":1,"\\\\\\"":"::"}',
  '{"toString":1}',
]

test('a name that an object has twice is refused, at any depth and in any spelling', () => {
  const documentAt = (text: string) => documents.decode(bytes('body', `{"in":${text}}`))
  const fieldOf = (text: string) => inField.decode(bytes('f', `[${text}]`))
  for (const text of twice) {
    for (const decoded of [documentAt(text), fieldOf(text)]) {
      assert.ok(decoded.kind === 'Invalid', text)
      assert.equal(decoded.reason, 'InvalidPayload')
      assert.match(decoded.error, /a name occurs twice/)
    }
  }
  for (const text of once) for (const decoded of [documentAt(text), fieldOf(text)]) assert.equal(decoded.kind, 'Valid', text)
})

test('a document is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.json(), fc.boolean(), (text, spaced) => {
      const given = spaced ? JSON.stringify(JSON.parse(text), undefined, 2) : text
      const parsed = parseExactly(given)
      if (parsed.kind === 'Value') assert.deepEqual(parsed.value, JSON.parse(given))
      else assert.ok(parsed.kind === 'Unfit' && /[0-9]{16}/.test(given), given)
    }),
    { seed, numRuns: 3_000 },
  )
})

test('long digits and many backslashes cost no more than their length', () => {
  const begun = process.threadCpuUsage().user
  const long = 200_000
  for (const text of [
    `${'0'.repeat(long)}1`,
    `1.${'0'.repeat(long)}1`,
    '9'.repeat(long),
    `1e${'9'.repeat(long)}`,
    `0.${'01'.repeat(long)}`,
  ]) {
    readings(text)
    isHeld(text)
  }
  for (const text of [`{"a":"${'\\\\'.repeat(long)}"}`, `{"a":"${'\\"'.repeat(long)}"}`, `${'"'.repeat(long)}`])
    parseExactly(text)
  assert.ok(process.threadCpuUsage().user - begun < 1_500_000)
})
