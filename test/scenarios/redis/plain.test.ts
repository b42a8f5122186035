/** The payload as a worker sees it is what JSON makes of it, by whichever way it was copied. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { createEncoder } from '../../../redis/payload/encoding.ts'
import { seed } from '../../support/seed.ts'

const { plain } = createEncoder({ encoding: 'Fields', field: 'data', maxBytes: 1, maxFields: 1 } as never)

/** Texts tell -0 from 0, and show the order of members. */
const same = (given: object) => {
  const [got, expected] = [plain(given), JSON.parse(JSON.stringify(given)) as object]
  assert.deepStrictEqual(got, expected)
  assert.deepEqual(Object.keys(got), Object.keys(expected))
  assert.equal(Object.getPrototypeOf(got), Object.prototype)
  assert.notEqual(got, given)
}

class Request {
  readonly id = 1
  get computed() {
    return 2
  }
}

const cases: readonly (readonly [title: string, given: object])[] = [
  ['texts, numbers and truth values', { a: 'x', b: 1.5, c: true, d: '' }],
  ['minus zero', { a: -0 }],
  ['null, a list, an object, a date', { a: null, b: [1], c: { d: undefined }, e: new Date(0) }],
  ['members that JSON drops', { a: undefined, b: () => 1, c: Symbol('x'), d: 1 }],
  ['members of its own named as a prototype', JSON.parse('{"__proto__":1,"a":2}') as object],
  ['one that speaks for itself', { a: 1, toJSON: () => ({ b: 2 }) }],
  ['an object of a class', new Request()],
  ['one without a prototype', Object.assign(Object.create(null), { a: 1 })],
  ['one that inherits', Object.assign(Object.create({ a: 1 }), { b: 2 })],
  ['a half of a character', { a: '\ud800' }],
  ['names that are numbers', { b: 1, 2: 2, 1: 1 }],
  [
    'members that are computed, hidden, or symbols',
    {
      get a() {
        return 'x'
      },
      [Symbol('s')]: 1,
      ...Object.defineProperty({}, 'hidden', { value: 1 }),
    },
  ],
]

for (const [title, given] of cases) test(title, () => same(given))

test('whatever the members are', () => {
  const member = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.jsonValue(),
  )
  fc.assert(fc.property(fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'toJSON', '1')), member), same), {
    seed,
  })
})

for (const broken of [Number.NaN, Number.POSITIVE_INFINITY, 1n]) {
  test(`${String(broken)} is refused`, () => assert.throws(() => plain({ a: broken }), { code: 'PayloadRejected' }))
}
