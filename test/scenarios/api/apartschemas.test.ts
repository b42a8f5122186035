/** Valid schemas of JSON Schema 2020-12 whose keywords stand apart from the `properties` and `type` that they speak of. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { validate } from '../../../api/index.ts'
import { resourceWith } from '../../redis/resource.ts'

const number = { properties: { n: { type: 'integer' } } }

for (const [what, schema] of [
  ['required fields of any type', { required: ['a', 'b'] }],
  ['one of two required fields', { ...number, anyOf: [{ required: ['n'] }, { required: ['m'] }] }],
  ['a bound beside the type, in an allOf', { properties: { n: { allOf: [{ type: 'integer' }, { minimum: 1 }] } } }],
  ['properties in $defs without a type', { $ref: '#/$defs/whole', $defs: { whole: number } }],
] as const) {
  test(`validate accepts ${what}`, () => {
    assert.deepEqual(validate(resourceWith({ payload: { schema: { type: 'object', ...schema } } })), [])
  })
}
