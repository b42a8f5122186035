/** Schemas and entries made to cost: how fields are read is planned and decided soon, whatever the schema refers to and whatever fields come. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { undecidedFields } from '../../../api/fieldtypes/undecided.ts'
import { BudgetSpent } from '../../../api/jsonschema/budget.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { createCoercion } from '../../../redis/payload/coercion.ts'
import { payloadWith } from '../../redis/resource.ts'

type Schema = Readonly<Record<string, unknown>>

const patienceMs = 3_000
const busyMs = () => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
const many = <T>(count: number, make: (index: number) => T) => Array.from({ length: count }, (_, index) => make(index))
const defs = (count: number, make: (index: number) => object) => Object.fromEntries(many(count, (at) => [`n${at}`, make(at)]))
const ref = (at: number) => ({ $ref: `#/$defs/n${at}` })
const integer = { type: 'integer' }

const bombs: readonly (readonly [what: string, schema: Schema])[] = [
  [
    'references that double at each step',
    { ...ref(0), $defs: defs(40, (at) => (at < 39 ? { allOf: [ref(at + 1), ref(at + 1)] } : integer)) },
  ],
  [
    'alternatives that double',
    {
      ...ref(0),
      $defs: defs(40, (at) => (at < 39 ? { anyOf: [ref(at + 1), { ...ref(at + 1) }] } : { properties: { f: integer } })),
    },
  ],
  [
    'alternatives that multiply',
    { allOf: many(30, (at) => ({ anyOf: [{ properties: { [`a${at}`]: integer } }, { required: [`b${at}`] }] })) },
  ],
  ['a long chain of references', { ...ref(0), $defs: defs(20_000, (at) => (at < 19_999 ? ref(at + 1) : integer)) }],
  [
    'a long chain below a property',
    { properties: { f: ref(0) }, $defs: defs(20_000, (at) => (at < 19_999 ? ref(at + 1) : integer)) },
  ],
  ['a circle', { ...ref(0), $defs: { n0: ref(1), n1: { anyOf: [ref(0), { not: ref(1) }] } } }],
  [
    'a circle below a property',
    { properties: { f: ref(0) }, $defs: { n0: { oneOf: [ref(1), ref(0)] }, n1: { allOf: [ref(0)], if: ref(1) } } },
  ],
  [
    'many properties by many references',
    {
      allOf: many(140, ref),
      $defs: defs(140, () => ({ properties: Object.fromEntries(many(140, (at) => [`p${at}`, ref(at)])) })),
    },
  ],
  [
    'a thousand alternatives',
    { oneOf: many(1_000, (at) => ({ properties: { kind: { const: at }, [`f${at}`]: integer }, required: ['kind'] })) },
  ],
  [
    'many conditions',
    {
      allOf: many(60, (at) => ({
        if: { properties: { [`c${at}`]: { const: 'x' } } },
        else: { properties: { [`f${at}`]: integer } },
      })),
    },
  ],
  [
    'many dependent schemas',
    { dependentSchemas: Object.fromEntries(many(60, (at) => [`d${at}`, { properties: { [`f${at}`]: integer } }])) },
  ],
  ['patterns by the hundred', { patternProperties: Object.fromEntries(many(300, (at) => [`(a+)+${at}$`, integer])) }],
  [
    'references to nowhere',
    {
      anyOf: [{ $ref: '#/nowhere' }, { $ref: 'https://example.com/x' }, { $ref: '#%' }, { $ref: 'http://[' }],
      properties: { f: { $ref: '#none' } },
    },
  ],
  [
    'keywords of the wrong form',
    {
      properties: [],
      allOf: {},
      anyOf: 1,
      oneOf: [null, 1],
      required: 'x',
      $id: 7,
      enum: {},
      type: 3,
      $ref: 1,
      dependentSchemas: 7,
    },
  ],
]
let deep: Schema = integer
for (let level = 0; level < 3_000; level++) deep = { anyOf: [deep] }

const entries = [
  { names: ['f', 'kind', 'a1', 'b1', 'f7'], texts: ['7', '7', '1', 'true', '{}'] },
  { names: many(64, (at) => `f${at}`), texts: many(64, () => '7') },
  { names: many(64, (at) => `${'a'.repeat(3_000)}${at}`), texts: many(64, () => 'true') },
  { names: ['f'], texts: [`[${'[1],'.repeat(60_000)}1]`] },
  { names: ['f'], texts: ['9'.repeat(250_000)] },
]

describe('a schema that is a bomb', () => {
  for (const [what, schema] of [...bombs, ['nesting', deep] as const]) {
    test(what, () => {
      const begun = busyMs()
      const coerce = createCoercion(schema)
      const planned = busyMs()
      assert.ok(planned - begun < patienceMs, `planning took ${Math.round(planned - begun)} ms`)
      // Only `validate`, which a person runs, makes this check: it compares every two alternatives.
      undecidedFields(schema)
      assert.ok(busyMs() - planned < 4 * patienceMs, `judging took ${Math.round(busyMs() - planned)} ms`)
      for (const entry of entries) {
        const since = busyMs()
        let tries = 0
        try {
          for (const _ of coerce(entry).others?.() ?? []) tries += 1
        } catch (thrown) {
          if (!(thrown instanceof BudgetSpent)) throw thrown
        }
        assert.ok(tries <= 17, `${tries} readings`)
        assert.ok(busyMs() - since < patienceMs, `reading took ${Math.round(busyMs() - since)} ms`)
      }
    })
  }
})

test('a text that may be much else is judged once by each schema', () => {
  const doubling = defs(40, (at) =>
    at < 39 ? { anyOf: [ref(at + 1), ref(at + 1), { type: 'string', pattern: '^(a+)+$' }] } : integer,
  )
  const coerce = createCoercion({ properties: { f: ref(0) }, $defs: doubling })
  const begun = busyMs()
  assert.deepEqual(coerce({ names: ['f'], texts: ['7'] }).data, { f: 7 })
  assert.ok(busyMs() - begun < 200)
})

test('names from outside are not remembered for ever', () => {
  const coerce = createCoercion({ additionalProperties: integer })
  for (let round = 0; round < 20_000; round++)
    assert.deepEqual(coerce({ names: [`n${round}`], texts: ['7'] }).data, { [`n${round}`]: 7 })
})

test('long names and texts that many patterns read are refused in time, with the reason; the next entry is judged anew', () => {
  const names = { patternProperties: Object.fromEntries(many(300, (at) => [`(a+)+${at}$`, integer])) }
  const texts = { properties: { f: { anyOf: many(300, (at) => ({ type: ['string', 'integer'], pattern: `(a+)+${at}$` })) } } }
  const hostile = [
    [names, many(64, (at) => [`${'a'.repeat(3_000)}${at}`, '7']).flat()],
    [texts, ['f', '9'.repeat(250_000)]],
  ] as const
  for (const [schema, flat] of hostile) {
    const codec = createCodec(payloadWith({ schema }))
    const since = busyMs()
    const refused = codec.decode(flat.map((text) => Buffer.from(text)))
    assert.ok(busyMs() - since < patienceMs, `reading took ${Math.round(busyMs() - since)} ms`)
    assert.equal(refused.kind === 'Invalid' && refused.reason, 'SchemaViolation')
    assert.match(refused.kind === 'Invalid' ? refused.error : '', /takes too long to judge by the schema/)
    assert.equal(codec.decode(['other', 'text'].map((text) => Buffer.from(text))).kind, 'Valid')
  }
})
