/**
 * A consumer's data equal the payload that a dispatcher accepted, under random schemas. One exception is as old as the encoding:
 * where the schema allows text, other values arrive as their text. Null could not be distinguished from text, and is refused.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pipelineWarnings } from '../../../api/validate.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { createValidator } from '../../../redis/payload/validator.ts'
import { pipelineWith, resourceWith } from '../../redis/resource.ts'
import { seed } from '../../support/seed.ts'

type Schema = Readonly<Record<string, unknown>>

const scalar = fc.constantFrom<Schema>(
  { type: 'integer' },
  { type: 'number' },
  { type: 'boolean' },
  { type: 'null' },
  { type: 'string' },
  { type: 'string', pattern: '^[a-z]*$' },
  { type: 'string', minLength: 2 },
  { type: ['integer', 'null'] },
  { type: ['string', 'null'] },
  { type: ['string', 'number'] },
  { enum: [1, 'auto', null] },
  { enum: ['1', 2, true] },
  { const: 7 },
  { type: 'array', items: { type: ['string', 'integer'] } },
  { type: 'object', properties: { a: { type: 'integer' } } },
  { $ref: '#/$defs/id' },
  { $ref: '#/$defs/name' },
  {},
)
const { member } = fc.letrec<{ member: Schema }>((tie) => ({
  member: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('member'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    fc.array(tie('member'), { minLength: 1, maxLength: 3 }).map((oneOf) => ({ oneOf })),
    fc.array(tie('member'), { minLength: 1, maxLength: 2 }).map((allOf) => ({ allOf })),
  ),
}))
const names = ['a', 'b', 'c', 'is_d']
const properties = fc.dictionary(fc.constantFrom(...names), member, { maxKeys: 3 })
const object = properties.map((found): Schema => ({ type: 'object', properties: found }))
const discriminated = fc.tuple(properties, properties).map(
  ([left, right]): Schema => ({
    type: 'object',
    oneOf: [left, right].map((found, index) => ({
      type: 'object',
      properties: { ...found, kind: { const: `k${index}` } },
      required: ['kind'],
    })),
  }),
)
const root = fc
  .oneof(
    object,
    discriminated,
    fc.tuple(object, object).map(([left, right]): Schema => ({ type: 'object', allOf: [left, right] })),
    fc.tuple(object, object).map(([left, right]): Schema => ({ type: 'object', anyOf: [left, right] })),
    fc.tuple(object, member).map(([one, rest]): Schema => ({ ...one, additionalProperties: rest })),
    fc.tuple(object, member).map(([one, rest]): Schema => ({ ...one, patternProperties: { '^is_': rest } })),
    fc.tuple(object, object).map(([one, dependent]): Schema => ({ ...one, dependentSchemas: { a: dependent } })),
  )
  .map((schema): Schema => ({ ...schema, $defs: { id: { type: 'integer' }, name: { type: 'string' } } }))

const value = fc.oneof(
  fc.constantFrom<unknown>(
    7,
    0,
    -1.5,
    true,
    false,
    null,
    '',
    'a',
    '7',
    'null',
    'true',
    'auto',
    '[1]',
    '{"a":1}',
    [],
    ['1', 1],
    { a: 1 },
    2 ** 53,
  ),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
  fc.string({ unit: 'grapheme', maxLength: 5 }),
)
const payload = fc
  .tuple(fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 4 }), fc.constantFrom('k0', 'k1'))
  .map(([found, kind]): Schema => ({ kind, ...found }))

test('what a dispatcher takes is what a consumer reads', () => {
  let [taken, exact] = [0, 0]
  fc.assert(
    fc.property(root, fc.array(payload, { minLength: 3, maxLength: 6 }), (schema, payloads) => {
      let codec: ReturnType<typeof createCodec>
      try {
        codec = createCodec(pipelineWith({ payload: { schema } }).payload)
      } catch {
        return
      }
      const violation = createValidator(schema)
      const open = pipelineWarnings(resourceWith({ payload: { schema } })).length > 0
      for (const given of payloads) {
        const plain = JSON.parse(JSON.stringify(given)) as Schema
        let entry: string[]
        try {
          entry = codec.encode(given)
        } catch {
          continue
        }
        const decoded = codec.decode(entry.map((text) => Buffer.from(text)))
        assert.ok(decoded.kind === 'Valid')
        assert.equal(violation(decoded.data), undefined)
        taken += 1
        for (const [name, sent] of Object.entries(plain)) {
          const arrived: unknown = decoded.data[name]
          if (typeof sent === typeof arrived) assert.deepEqual(arrived, sent)
          // A text where the schema allows none, given by mistake for the value that it spells.
          else if (typeof sent === 'string') assert.equal(JSON.stringify(arrived), JSON.stringify(JSON.parse(sent)))
          else {
            assert.notEqual(sent, null)
            assert.equal(arrived, JSON.stringify(sent))
            if (open) continue
            // The text is allowed there: with it in place of the value, the schema takes the payload.
            assert.equal(violation({ ...decoded.data, [name]: arrived }), undefined)
          }
        }
        // A payload that the schema takes arrives as it is, but for values where text is allowed.
        if (violation(plain) === undefined) {
          exact += 1
          for (const [name, sent] of Object.entries(plain)) if (typeof sent === 'string') assert.equal(decoded.data[name], sent)
        }
      }
    }),
    { seed, numRuns: 400 },
  )
  assert.ok(taken > 200 && exact > 100, `${taken} ${exact}`)
})
