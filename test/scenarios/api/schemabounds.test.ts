/** The cost of a schema and of a payload: a schema compiles soon or is refused, and judging has an end. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePayloadSchema, validate } from '../../../api/index.ts'
import { resourceWith } from '../../redis/resource.ts'

type Schema = Readonly<Record<string, unknown>>

/** CPU time of this thread alone: other tests do not count. */
const busyMs = () => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

function took<T>(work: () => T): { readonly ms: number; readonly value: T } {
  const begun = busyMs()
  const value = work()
  return { ms: busyMs() - begun, value }
}

const problems = (schema: Schema) => validate(resourceWith({ payload: { schema } })).map(({ message }) => message)
const named = (count: number, member: (index: number) => unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, member(index)]))
const bomb = (count: number): Schema => ({
  type: 'object',
  properties: named(count, () => ({ $ref: '#/$defs/a' })),
  $defs: { a: { type: 'object', properties: named(count, () => ({ type: 'string' })) } },
})

test('140 references to 140 properties compile in 200 ms', (t) => {
  problems(bomb(2))
  compilePayloadSchema(bomb(2))
  const checked = took(() => problems(bomb(140)))
  const compiled = took(() => compilePayloadSchema(bomb(140)))
  t.diagnostic(`checked in ${checked.ms.toFixed(0)} ms, compiled in ${compiled.ms.toFixed(0)} ms`)
  assert.deepEqual(checked.value, [])
  assert.ok(checked.ms < 200 && compiled.ms < 200)
  assert.equal(compiled.value({ p3: { p4: 'a' } }), true)
  assert.equal(compiled.value({ p3: { p4: 1 } }), false)
})

const deep = (levels: number): Schema =>
  Array.from({ length: levels }).reduce<Schema>((inner) => ({ type: 'object', properties: { a: inner } }), { type: 'object' })

for (const [what, schema, says] of [
  ['too long', { type: 'object', description: 'x'.repeat(600_000) }, /characters of JSON; the limit is 524288/],
  ['too deep', deep(150), /nests deeper than 200 levels/],
  ['too many schemas', { type: 'object', properties: named(10_001, () => true) }, /holds 10002 schemas; the limit is 10000/],
  [
    'too many references',
    { type: 'object', properties: named(5_001, () => ({ $ref: '#' })) },
    /5001 references; the limit is 5000/,
  ],
] as const) {
  test(`refused, with the bound: ${what}`, () => {
    const { ms, value } = took(() => problems(schema))
    assert.equal(value.length, 1)
    assert.match(value[0] ?? '', says)
    assert.ok(ms < 1_000, `${ms} ms`)
  })
}

test('schemas of thousands of properties or branches are accepted, and judge', () => {
  const wide: Schema = {
    type: 'object',
    properties: named(3_000, () => ({ type: 'string', maxLength: 3 })),
    additionalProperties: false,
  }
  const many: Schema = { type: 'object', properties: { a: { anyOf: Array.from({ length: 1_500 }, (_, i) => ({ const: i })) } } }
  const one: Schema = { type: 'object', properties: { a: { oneOf: Array.from({ length: 1_500 }, (_, i) => ({ const: i })) } } }
  for (const [schema, good, bad] of [
    [wide, { p2999: 'abc' }, { p2999: 'abcd' }],
    [wide, { p0: '' }, { q: '' }],
    [many, { a: 1_499 }, { a: 1_500 }],
    [one, { a: 1_499 }, { a: 1_500 }],
  ] as const) {
    assert.deepEqual(problems(schema), [])
    const judge = compilePayloadSchema(schema)
    assert.equal(judge(good), true)
    assert.equal(judge(bad), false)
  }
})

const rungs = (count: number, more: object): Schema => ({
  $ref: '#/$defs/p0',
  $defs: named(count, (index) =>
    index === count - 1 ? { type: 'object' } : { ...more, allOf: [1, 2].map(() => ({ $ref: `#/$defs/p${index + 1}` })) },
  ),
})
const twice = { properties: { a: { $ref: '#/$defs/n' } } }
const nested = (levels: number): object => Array.from({ length: levels }).reduce<object>((a) => ({ a }), {})
const hostile = `${'x'.repeat(256 * 1024)}`

for (const [what, schema, payload] of [
  ['references that double at each level, ajv', rungs(40, {}), {}],
  ['references that double at each level, exact', rungs(40, { unevaluatedProperties: true }), {}],
  ['recursion that doubles, ajv', { $ref: '#/$defs/n', $defs: { n: { allOf: [twice, twice] } } }, nested(90)],
  [
    'recursion that doubles, exact',
    { $ref: '#/$defs/n', $defs: { n: { allOf: [twice, twice], unevaluatedProperties: true } } },
    nested(90),
  ],
  ['a circle, ajv', { type: 'object', allOf: [{ $ref: '#' }] }, {}],
  ['a circle, exact', { type: 'object', allOf: [{ $ref: '#' }], unevaluatedProperties: true }, {}],
  [
    'if below if below if',
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    rungs(30, { if: { $ref: '#/$defs/p29' }, ['then']: { $ref: '#/$defs/p1' }, unevaluatedProperties: true }),
    {},
  ],
  [
    'a hundred patterns on a large text',
    { type: 'object', properties: { a: { allOf: Array.from({ length: 100 }, (_, i) => ({ pattern: `(x+x+)+|y${i}` })) } } },
    { a: hostile },
  ],
] as const) {
  test(`judging has an end: ${what}`, () => {
    const judge = compilePayloadSchema(schema)
    const { ms, value } = took(() => judge.violation(payload))
    assert.match(value ?? '', /takes too long to judge|nests too deep/)
    assert.ok(ms < 6_000, `${ms} ms`)
  })
}

test('a circle is named', () => {
  const schema = { type: 'object', properties: { a: { anyOf: [{ type: 'string' }, { $ref: '#/properties/a' }] } } }
  assert.match(
    problems(schema)[0] ?? '',
    /leads back to itself .*schema\.properties\.a → schema\.properties\.a\.anyOf\[1\] → schema\.properties\.a/,
  )
})

test('names and values of a payload cannot make it throw, or judge wrongly', () => {
  const payload = JSON.parse('{"a":{"valueOf":1,"constructor":{},"toString":null,"__proto__":{"x":1}}}') as Record<
    string,
    unknown
  >
  for (const schema of [
    { properties: { a: { const: payload['a'] } } },
    { properties: { a: { enum: [1, payload['a']] } } },
    { properties: { a: { properties: { toString: { type: 'null' }, valueOf: { type: 'integer' } } } } },
    { properties: { a: { patternProperties: { '^__': { required: ['x'] } } } } },
    { properties: { a: { additionalProperties: { type: ['integer', 'object', 'null'] }, maxProperties: 4 } } },
    { properties: { a: { propertyNames: { pattern: '^[a-zA-Z_]+$' } } }, uniqueItems: true },
  ]) {
    const judge = compilePayloadSchema(schema)
    assert.equal(judge.violation(payload), undefined, JSON.stringify(schema))
    assert.equal(judge({ a: 'b', ...JSON.parse('{"__proto__":1}') }) || true, true)
  }
})
