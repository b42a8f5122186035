/** The two validators: one form of messages, the same verdicts on schemas that both can judge, and decimals as in school. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compilePayloadSchema } from '../../../api/index.ts'
import { seed } from '../../support/seed.ts'

type Schema = Readonly<Record<string, unknown>>

/** The same schema for each validator. Unevaluated properties are allowed anyway. */
function both(schema: Schema) {
  const fast = compilePayloadSchema(schema)
  const exact = compilePayloadSchema({ ...schema, unevaluatedProperties: true })
  assert.deepEqual([fast.choice.kind, exact.choice.kind], ['Fast', 'Exact'])
  return [fast, exact] as const
}

const a = (schema: unknown): Schema => ({ type: 'object', properties: { a: schema } })

const rows: readonly (readonly [schema: Schema, payload: object, says: string])[] = [
  [a({ type: 'integer' }), { a: 'secret' }, 'a must be integer'],
  [a({ type: ['integer', 'null'] }), { a: 'secret' }, 'a must be integer or null'],
  [a({ minimum: 3 }), { a: 1 }, 'a must be at least 3'],
  [a({ exclusiveMaximum: 3 }), { a: 3 }, 'a must be less than 3'],
  [a({ multipleOf: 0.01 }), { a: 1.001 }, 'a must be a multiple of 0.01'],
  [a({ minLength: 2 }), { a: 'x' }, 'a must have at least 2 characters'],
  [a({ maxLength: 1 }), { a: 'xx' }, 'a must have at most 1 character'],
  [a({ pattern: '^x$' }), { a: 'secret' }, 'a must match the pattern "^x$"'],
  [a({ format: 'email' }), { a: 'secret' }, 'a must have the format "email"'],
  [a({ items: { items: { type: 'string' } } }), { a: [[], ['x', 1]] }, 'a.1.1 must be string'],
  [a({ additionalProperties: { type: 'string' } }), { a: { 'x.y\n': 1 } }, 'a."x.y\\n" must be string'],
  [a({ prefixItems: [{}], items: false }), { a: [1, 2] }, 'a must have no more items than the schema describes'],
  [a({ uniqueItems: true }), { a: [{ x: 1 }, { x: 1 }] }, 'a must have no item twice'],
  [a({ enum: ['x', 1] }), { a: 'secret' }, 'a must be one of the values that the schema lists'],
  [a({ const: 'x' }), { a: 'secret' }, 'a must be the one value that the schema allows'],
  [a({ anyOf: [{ type: 'string' }, { minimum: 3 }] }), { a: 1 }, 'a must match one of the schemas under anyOf'],
  [a({ oneOf: [{ type: 'number' }, { minimum: 0 }] }), { a: 1 }, 'a must match exactly one of the schemas under oneOf'],
  [a({ not: { type: 'number' } }), { a: 1 }, 'a must not match the schema under not'],
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  [a({ if: { type: 'number' }, ['then']: { minimum: 5 } }), { a: 1 }, 'a must be at least 5'],
  [a(false), { a: 1 }, 'a must not be there'],
  [{ required: ['b'] }, {}, "the payload must have the required property 'b'"],
  [{ dependentRequired: { a: ['b'] } }, { a: 1 }, "the payload must have the property 'b', because of another that it has"],
  [{ dependencies: { a: ['b'] } }, { a: 1 }, "the payload must have the property 'b', because of another that it has"],
  [{ properties: { a: {} }, additionalProperties: false }, { b: 1 }, 'the payload must not have the property "b"'],
  [{ propertyNames: { maxLength: 2 } }, { abc: 1 }, 'the payload must not have a property of the name "abc"'],
  [{ minProperties: 2 }, { a: 1 }, 'the payload must have at least 2 properties'],
  [{ allOf: [{ $ref: '#/$defs/x' }], $defs: { x: a({ type: 'string' }) } }, { a: 1 }, 'a must be string'],
]

for (const [schema, payload, says] of rows) {
  test(`both say: ${says}`, () => {
    for (const judge of both(schema)) assert.equal(judge.violation(payload), says)
  })
}

test('messages are short, whatever the payload', () => {
  const long = 'q'.repeat(100_000)
  const recursive = { $ref: '#/$defs/n', $defs: { n: { type: ['object', 'null'], additionalProperties: { $ref: '#/$defs/n' } } } }
  const payload = Array.from({ length: 90 }).reduce<unknown>((inner) => ({ [long]: inner }), 5) as object
  for (const judge of [...both(recursive), ...both({ additionalProperties: false })]) {
    const said = judge.violation(payload) ?? ''
    assert.ok(said.length > 0 && said.length < 400, `${said.length}`)
  }
})

const decimals: readonly (readonly [divisor: number, multiples: readonly number[], others: readonly number[]])[] = [
  [
    0.01,
    [0, -0, 0.07, 1.1, 19.99, -4.35, 1e21, 1e300, 9007199254740991, 9007199254740992, 123456.78, 1e-2],
    [0.001, 0.075, 1.005, 1e-7, 5e-324],
  ],
  [0.1, [0.3, 1.1, 0.7, 1e22], [0.25, 0.05, 0.31]],
  [1e-7, [3e-7, 1, 0.1234567], [1.5e-7, 1e-8]],
  [2.5, [7.5, 1e23, -2.5], [3, 1e-3]],
  [3, [9, 1.5e1, -3], [1, 1e21 + 1e6, 0.3]],
  [1e21, [1e21, 3e21, 0], [1e20, 1.5e21]],
  [7, [49, 7e300], [50, 1e300]],
]

for (const [divisor, multiples, others] of decimals) {
  test(`multipleOf: ${divisor}`, () => {
    for (const judge of both(a({ multipleOf: divisor }))) {
      for (const value of multiples) assert.equal(judge({ a: value }), true, String(value))
      for (const value of others) assert.equal(judge({ a: value }), false, String(value))
    }
  })
}

const name = fc.constantFrom('a', 'b', 'c', 'p/q', 'x~')
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, false, 0, 1, 2, 2.5, -1, 'a', 'ab', 'abc', ''),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(name, tie('any'), { maxKeys: 3 }),
  ),
})).any

const schemas = fc.letrec<{ any: unknown }>((tie) => {
  const inner = tie('any')
  const some = fc.array(inner, { minLength: 1, maxLength: 3 })
  const keyword = fc.oneof(
    fc.record({ type: fc.constantFrom('object', 'array', 'string', 'number', 'integer', 'null', ['string', 'null']) }),
    fc.record({ properties: fc.dictionary(name, inner, { maxKeys: 3 }) }),
    fc.record({ additionalProperties: inner, properties: fc.dictionary(name, inner, { maxKeys: 1 }) }),
    fc.record({ patternProperties: fc.dictionary(fc.constantFrom('^a', 'b$', '/', '.'), inner, { maxKeys: 2 }) }),
    fc.record({ required: fc.uniqueArray(name, { maxLength: 2 }) }),
    fc.record({ propertyNames: inner }),
    fc.record({ dependentSchemas: fc.dictionary(name, inner, { maxKeys: 2 }) }),
    fc.record({ dependencies: fc.dictionary(name, fc.oneof(inner, fc.uniqueArray(name, { maxLength: 2 })), { maxKeys: 2 }) }),
    fc.record({ items: inner, prefixItems: some }),
    fc.record({ contains: inner, minContains: fc.nat(2), maxContains: fc.nat(3) }),
    fc.record({ uniqueItems: fc.boolean(), minItems: fc.nat(2) }),
    fc.record({ allOf: some }),
    fc.record({ anyOf: some }),
    fc.record({ oneOf: some }),
    fc.record({ not: inner }),
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    fc.record({ if: inner, ['then']: inner, else: inner }),
    fc.record({ enum: fc.array(fc.constantFrom(null, 0, 1, 'a', 'ab', true), { minLength: 1, maxLength: 3 }) }),
    fc.record({ minimum: fc.constantFrom(0, 1, 2), multipleOf: fc.constantFrom(0.5, 1, 2) }),
    fc.record({ maxLength: fc.nat(3), pattern: fc.constantFrom('^a', '(a|b)+$', 'c') }),
    fc.record({ $ref: fc.constantFrom('#/$defs/x', '#/$defs/y', '#z', 'https://x.test/w') }),
    fc.record({ minProperties: fc.nat(2), maxProperties: fc.nat(3) }),
  )
  return {
    any: fc.oneof(
      { maxDepth: 3 },
      fc.boolean(),
      keyword,
      fc.tuple(keyword, keyword).map(([x, y]) => ({ ...x, ...y })),
    ),
  }
}).any

test('both judge alike', () => {
  let circles = 0
  fc.assert(
    fc.property(
      fc.tuple(schemas, schemas, schemas),
      fc.array(fc.dictionary(name, value, { maxKeys: 3 }), { minLength: 5, maxLength: 5 }),
      ([root, x, y], payloads) => {
        const $defs = {
          x,
          y: { allOf: [y] },
          z: { $anchor: 'z', properties: { a: x } },
          w: { $id: 'https://x.test/w', items: { $ref: '#s' }, $defs: { s: { $anchor: 's', type: 'string' } } },
        }
        const schema = { allOf: [root], $defs }
        const fast = compilePayloadSchema(schema)
        const exact = compilePayloadSchema({ ...schema, unevaluatedProperties: true })
        for (const payload of payloads) {
          const [ours, theirs] = [fast.violation(payload), exact.violation(payload)]
          // A circle of references, which one validator follows without end. The other decides before it comes there.
          if ([ours, theirs].some((said) => said !== undefined && /too (?:long|deep)/.test(said))) circles += 1
          else
            assert.equal(
              ours === undefined,
              theirs === undefined,
              `${JSON.stringify(schema)} ${JSON.stringify(payload)}: ${ours} / ${theirs}`,
            )
        }
      },
    ),
    { numRuns: 300, seed },
  )
  assert.ok(circles < 300, 'most schemas have an end')
})
