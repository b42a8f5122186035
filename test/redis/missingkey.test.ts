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

const values: readonly (readonly [what: string, value: unknown, keptIn: readonly (typeof encodings)[number][]])[] = [
  ['absent', undefined, encodings],
  ['null', null, ['Json']],
  ['no number', Number.NaN, ['Json']],
  ['an empty text', '', []],
]
for (const encoding of encodings) {
  for (const [what, value, keptIn] of values) {
    test(`promise: ${encoding}: no payload is dispatched whose key is ${what}`, { todo: !keptIn.includes(encoding) }, () => {
      assert.throws(
        () => codecs[encoding]().encode({ id: 1, key: value }),
        (thrown) => thrown instanceof StreamPipelineError && thrown.code === 'PayloadRejected' && /"key"/.test(thrown.message),
      )
    })
  }
}

const nullable = { schema: { type: 'object', properties: { key: { type: ['integer', 'null'] } } } }
const entries = [
  { encoding: 'Fields', what: 'empty', fields: ['id', '1', 'key', ''], more: {}, todo: true },
  { encoding: 'Json', what: 'empty', fields: ['body', '{"id":1,"key":""}'], more: {}, todo: true },
  { encoding: 'Fields', what: 'null by its schema', fields: ['id', '1', 'key', 'null'], more: nullable, todo: true },
  { encoding: 'Json', what: 'null by its schema', fields: ['body', '{"id":1,"key":null}'], more: nullable, todo: false },
] as const
for (const { encoding, what, fields, more, todo } of entries) {
  test(`promise: ${encoding}: an entry whose key is ${what} is a dead letter, not a duplicate`, { todo }, () => {
    const decoded = codecs[encoding](more).decode(fields.map((text) => Buffer.from(text)))
    assert.ok(decoded.kind === 'Invalid', 'it is taken, and the next such entry is its duplicate')
    assert.equal(decoded.reason, 'InvalidPayload')
    assert.match(decoded.error, /"key"/)
  })
}
