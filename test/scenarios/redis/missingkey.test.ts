/** An idempotency key that holds nothing would make all such requests one: it is refused, the same in both encodings. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StreamPipelineError } from '../../../api/errors.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { keyHash } from '../../../redis/payload/idempotency.ts'
import { payloadWith } from '../../redis/resource.ts'

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

const refusedFor = (decoded: ReturnType<ReturnType<typeof createCodec>['decode']>) =>
  decoded.kind === 'Invalid' ? decoded.error : undefined
const parts = (...texts: string[]) => texts.map((text) => Buffer.from(text))

test('an empty key is one where the resource says so and the schema allows it', () => {
  const empty = { allowEmptyKey: true }
  const long = { schema: { type: 'object', properties: { key: { type: 'string', minLength: 1 } } } }
  const entry = { Fields: parts('id', '1', 'key', ''), Json: parts('body', '{"id":1,"key":""}') }
  for (const encoding of encodings) {
    const decoded = codecs[encoding](empty).decode(entry[encoding])
    assert.ok(decoded.kind === 'Valid')
    assert.equal(decoded.hash, keyHash(['']), 'the id that such jobs had before')
    assert.equal(codecs[encoding](empty).encode({ id: 1, key: '' }).includes(''), encoding === 'Fields')
    assert.match(refusedFor(codecs[encoding]({ ...empty, ...long }).decode(entry[encoding])) ?? '', /key/)
    assert.throws(() => codecs[encoding](empty).encode({ id: 1, key: null }), /"key"/)
    assert.throws(() => codecs[encoding](empty).encode({ id: 1 }), /"key"/)
  }
})

test('each part of a key holds something, and no part runs into the next', () => {
  const composite = { idempotencyKey: ['a', 'b'] }
  const hashes = new Set<string>()
  const pairs = [
    ['x', 'y'],
    ['xy', ' '],
    ['x"', '"y'],
    ['x","', 'y'],
    ['x', '","y'],
    ['["x', 'y"]'],
    ['x\u0000', 'y'],
    ['x', '\u0000y'],
  ] as const
  for (const [a, b] of pairs) {
    for (const encoding of encodings) {
      const codec = codecs[encoding](composite)
      const decoded = codec.decode(parts(...codec.encode({ a, b })))
      assert.ok(decoded.kind === 'Valid')
      hashes.add(decoded.hash)
      assert.match(
        refusedFor(codec.decode(encoding === 'Json' ? parts('body', '{"a":"1","b":""}') : parts('a', '1', 'b', ''))) ?? '',
        /"b"/,
      )
      assert.throws(() => codec.encode({ a: '', b }), /"a"/)
    }
  }
  assert.equal(hashes.size, pairs.length, 'the encodings agree, the pairs differ')
})

test('blanks, zero, false, and the texts null and NaN are keys; a list or an object counts by its value in a document', () => {
  for (const encoding of encodings) {
    const codec = codecs[encoding]()
    const hashOf = (key: unknown) => {
      const decoded = codec.decode(parts(...codec.encode({ id: 1, key })))
      assert.ok(decoded.kind === 'Valid')
      return decoded.hash
    }
    const keys = [' ', '\t', 0, false, 'null', 'NaN', [], {}, [1], { a: 1, b: 2 }]
    assert.equal(new Set(keys.map(hashOf)).size, keys.length)
    assert.equal(hashOf(0), hashOf('0'))
    assert.equal(hashOf(false), hashOf('false'))
    assert.equal(hashOf({ a: 1, b: 2 }) === hashOf({ b: 2, a: 1 }), encoding === 'Json')
  }
})

test('a job of an earlier release keeps the key that it had, though it would be none now', () => {
  assert.equal(codecs.Fields(nullable).hashOf({ id: 1, key: null }), keyHash(['null']))
  assert.equal(codecs.Json().hashOf({ id: 1, key: '' }), keyHash(['']))
})
