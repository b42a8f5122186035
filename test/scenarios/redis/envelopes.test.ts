/** Fields of other producers' envelopes: a resource names those to leave out and those to keep; key and data are the payload's alone. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dispatchConfigOf, parseDispatchConfig, payloadOf } from '../../../redis/dispatchconfig.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { payloadWith, pipelineWith } from '../../redis/resource.ts'

type Part = string | Buffer
const flat = (...parts: Part[]) => parts.map((part) => Buffer.from(part as string))
const document = { encoding: 'Json', field: 'body', idempotencyKey: ['id'] }
const body = ['body', '{"id":"a","n":1}'] as const

function valid(payload: object, ...parts: Part[]) {
  const decoded = createCodec(payloadWith(payload)).decode(flat(...parts))
  assert.ok(decoded.kind === 'Valid', decoded.kind === 'Invalid' ? decoded.error : '')
  return decoded
}
function refused(payload: object, ...parts: Part[]) {
  const decoded = createCodec(payloadWith(payload)).decode(flat(...parts))
  assert.ok(decoded.kind === 'Invalid', 'accepted')
  return decoded.error
}

test('fields beside a document are refused unless they are named, and the message says how', () => {
  assert.match(
    refused(document, ...body, 'source', 'x'),
    /field "source" is beside the payload in "body"; name it in payload\.ignoreFields/,
  )
  const bare = valid(document, ...body)
  for (const ignoreFields of [['source', 'x-*'], ['*'], ['sou*', 'x-y']]) {
    const dressed = valid({ ...document, ignoreFields }, 'source', 'x', ...body, 'x-y', '')
    assert.deepEqual([dressed.hash, dressed.data, dressed.metadata], [bare.hash, bare.data, undefined])
  }
  assert.match(refused({ ...document, ignoreFields: ['x-*'] }, ...body, 'y', '1'), /"y"/)
  assert.match(refused({ ...document, ignoreFields: ['*'] }, 'x', '1'), /"body", which holds the payload, is missing/)
  assert.match(refused({ ...document, ignoreFields: ['*'] }, ...body, ...body), /"body" occurs twice/)
})

test('what is left out may be any bytes, any number of times, and counts towards maxBytes, not towards maxFields', () => {
  const many = Array.from({ length: 500 }, () => ['x-a', Buffer.from([0xff])]).flat()
  valid({ ...document, ignoreFields: ['x-*'], maxFields: 1 }, ...many, ...body)
  assert.match(refused({ ...document, ignoreFields: ['x-*'], maxBytes: 1_000 }, ...many, ...body), /payload\.maxBytes/)
})

test('names of any bytes are left out, too, where a beginning or an asterisk takes them', () => {
  const name = (text: string) => Buffer.concat([Buffer.from(text), Buffer.from([0xff])])
  const bare = valid(document, ...body)
  for (const ignoreFields of [['*'], ['x-*']]) {
    const dressed = valid({ ...document, ignoreFields }, name('x-'), 'v', ...body)
    assert.deepEqual([dressed.hash, dressed.data], [bare.hash, bare.data])
  }
  assert.match(refused({ ...document, ignoreFields: ['x-*'] }, name('y'), 'v', ...body), /a field name is not UTF-8/)
  assert.match(refused({ ...document, metadataFields: ['*'] }, name('y'), 'v', ...body), /a field name is not UTF-8/)
})

test('metadata is kept as text beside data and key', () => {
  const kept = { ...document, metadataFields: ['tenant', 'x-*'], ignoreFields: ['*'] }
  const decoded = valid(kept, 'tenant', 't1', ...body, 'x-a', '{"a":1}', 'other', 'y', '__proto__', 'z', 'sp-redrives', '1')
  assert.deepEqual(decoded.metadata, { tenant: 't1', 'x-a': '{"a":1}' })
  assert.deepEqual([decoded.hash, decoded.data], [valid(document, ...body).hash, { id: 'a', n: 1 }])
  assert.match(refused(kept, ...body, 'tenant', 'a', 'tenant', 'a'), /field "tenant" occurs twice/)
  assert.match(refused(kept, ...body, 'x-b', Buffer.from([0xff])), /field "x-b" is not UTF-8/)
  assert.match(refused({ ...kept, maxFields: 2 }, ...body, 'x-b', '1', 'x-c', '1'), /3 fields/)
})

test('under Fields, too; the dispatcher refuses a payload that would be left out', () => {
  const fields = { ignoreFields: ['x-*'], metadataFields: ['tenant'] }
  const decoded = valid(fields, 'a', '1', 'x-y', '2', 'tenant', 't')
  assert.deepEqual([decoded.data, decoded.metadata], [{ a: '1' }, { tenant: 't' }])
  assert.equal(decoded.hash, valid({}, 'a', '1').hash)
  const codec = createCodec(payloadWith(fields))
  for (const name of ['x-y', 'tenant'])
    assert.throws(() => codec.encode({ a: 1, [name]: 1 }), new RegExp(`field "${name}".*rename it`))
})

test('a dispatch configuration carries the lists and the empty key', () => {
  const pipeline = pipelineWith({
    payload: { ...document, ignoreFields: ['*'], metadataFields: ['tenant'], allowEmptyKey: true },
  })
  const config = parseDispatchConfig(JSON.stringify(dispatchConfigOf(pipeline)))
  assert.deepEqual(payloadOf(config), pipeline.payload)
  assert.equal('allowEmptyKey' in dispatchConfigOf(pipelineWith({})), false)
})
