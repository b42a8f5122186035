/** An idempotency key that holds nothing would make all such requests one: it is refused, the same in both encodings. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StreamPipelineError } from '../../api/errors.ts'
import { createCodec } from '../../redis/payload/codec.ts'
import { payloadWith } from './resource.ts'

const codecs = {
  Fields: (more: object = {}) => createCodec(payloadWith({ idempotencyKey: ['key'], ...more })),
  Json: (more: object = {}) => createCodec(payloadWith({ idempotencyKey: ['key'], encoding: 'Json', field: 'body', ...more })),
}
const encodings = ['Fields', 'Json'] as const

const values: readonly (readonly [what: string, value: unknown])[] = [
  ['absent', undefined],
  ['null', null],
  ['no number', Number.NaN],
  ['an empty text', ''],
]
for (const encoding of encodings) {
  for (const [what, value] of values) {
    test(`promise: ${encoding}: no payload is dispatched whose key is ${what}`, () => {
      assert.throws(
        () => codecs[encoding]().encode({ id: 1, key: value }),
        (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'PayloadRejected' && /"key"/.test(thrown.message),
      )
    })
  }
}

const nullable = { schema: { type: 'object', properties: { key: { type: ['integer', 'null'] } } } }
const entries = [
  { encoding: 'Fields', what: 'empty', fields: ['id', '1', 'key', ''], more: {} },
  { encoding: 'Json', what: 'empty', fields: ['body', '{"id":1,"key":""}'], more: {} },
  { encoding: 'Fields', what: 'null by its schema', fields: ['id', '1', 'key', 'null'], more: nullable },
  { encoding: 'Json', what: 'null by its schema', fields: ['body', '{"id":1,"key":null}'], more: nullable },
] as const
for (const { encoding, what, fields, more } of entries) {
  test(`promise: ${encoding}: an entry whose key is ${what} is a dead letter, not a duplicate`, () => {
    const decoded = codecs[encoding](more).decode(fields.map((text) => Buffer.from(text)))
    assert.ok(decoded.kind === 'Invalid', 'it is taken, and the next such entry is its duplicate')
    assert.equal(decoded.reason, 'InvalidPayload')
    assert.match(decoded.error, /"key"/)
  })
}
