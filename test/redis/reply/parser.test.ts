/** The accepted input of the parser of replies, its shapes, and its refusals. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ReplyLimits, workLimits } from '../../../redis/reply/limits.ts'
import { createReplyParser } from '../../../redis/reply/parser.ts'
import { readAll, writeReply } from '../../scenarios/hostile/kinds/replies.ts'
import { createRandom } from '../../scenarios/hostile/payloads.ts'
import { projectRoot } from '../../support/root.ts'
import { seed } from '../../support/seed.ts'

const refusalOf = (text: string, limits?: ReplyLimits) => readAll(Buffer.from(text, 'latin1'), [], limits).refusal

interface TheirDecoder {
  write(bytes: Buffer): void
}

/** ioredis' own, with its default mapping. */
function theirs(bytes: Buffer): unknown[] {
  const require = createRequire(import.meta.url)
  const module = require(join(projectRoot, 'node_modules', 'ioredis', 'built', 'resp', 'decoder.js')) as {
    readonly Decoder: new (config: object) => TheirDecoder
    readonly RESP_TYPES: Readonly<Record<string, number>>
  }
  const { RESP_TYPES: T } = module
  const kinds = { SIMPLE_STRING: Buffer, BLOB_STRING: Buffer, VERBATIM_STRING: Buffer, BIG_NUMBER: String }
  const more = { DOUBLE: Buffer, BOOLEAN: Number, MAP: Array, SET: Array }
  const mapping = Object.fromEntries(Object.entries({ ...kinds, ...more }).map(([name, type]) => [T[name] ?? '', type]))
  const replies: unknown[] = []
  const plain = (value: unknown): unknown => {
    if (Buffer.isBuffer(value)) return `b:${value.toString('latin1')}`
    if (Array.isArray(value)) return value.map(plain)
    return value instanceof Error ? { error: value.message } : value
  }
  const onReply = (value: unknown) => void replies.push(plain(value))
  const decoder = new module.Decoder({ getTypeMapping: () => mapping, onReply, onErrorReply: onReply, onPush: onReply })
  decoder.write(bytes)
  return replies
}

test('sound replies read as ioredis reads them, however they are cut', () => {
  const random = createRandom(seed)
  for (let n = 0; n < 3_000; n++) {
    const bytes = Buffer.from(writeReply(random, 4, false) + writeReply(random, 2, false), 'latin1')
    const expected = theirs(bytes)
    assert.deepEqual(readAll(bytes, [], workLimits).replies, expected, JSON.stringify(bytes.toString('latin1')))
    const everywhere = Array.from({ length: bytes.length - 1 }, (_, at) => at + 1)
    assert.deepEqual(readAll(bytes, everywhere, workLimits).replies, expected)
  }
})

test('what no Redis sends is refused, before anything of the size it names exists', () => {
  const refused = [
    '>1\r\n_\r\n',
    '|1\r\n+a\r\n+b\r\n+c\r\n',
    '*33554431\r\n'.repeat(3),
    '*-2\r\n',
    '*1.5\r\n',
    '*\r\n',
    '$-2\r\n',
    '$536870912\r\n',
    '$99999999999999999999\r\n',
    '$?\r\n;4\r\n',
    '$3\r\nabcd\r\n',
    '$3\r\nabc\n\n',
    '%33554431\r\n',
    '~-1\r\n',
    ':12x\r\n',
    ':\r\n',
    ':1\n',
    '#x\r\n',
    ',abc\r\n',
    '(12.5\r\n',
    '_x\r\n',
    '=2\r\nab\r\n',
    '!-1\r\n',
    '\r\n',
    'HTTP/1.1 400 Bad Request\r\n',
    'SSH-2.0-OpenSSH_9.2\r\n',
    '220 mail ESMTP\r\n',
    '\u0015\u0003\u0001\u0000\u0002\u0002P',
    `+${'x'.repeat(70_000)}`,
    `-${'x'.repeat(70_000)}\r\n`,
    `:${'1'.repeat(30)}\r\n`,
    `${'*1\r\n'.repeat(10)}:1\r\n`,
  ]
  for (const text of refused) {
    const bytes = Buffer.from(text, 'latin1')
    const { refusal, most, replies } = readAll(bytes)
    assert.notEqual(refusal, undefined, JSON.stringify(text.slice(0, 40)))
    assert.ok(most < 200_000, `${most} bytes`)
    assert.deepEqual(replies, [])
    assert.notEqual(readAll(bytes, [1, 2, 3]).refusal, undefined)
  }
})

test('limits are of one reply: bytes, values, depth', () => {
  const limits: ReplyLimits = { bytes: 100, items: 5, depth: 2, ms: 1_000 }
  assert.equal(refusalOf('$80\r\n'.padEnd(85, 'x').concat('\r\n').repeat(9), limits), undefined)
  assert.match(refusalOf('$99\r\n', limits) ?? '', /more than 100 bytes/)
  assert.match(refusalOf(`*2\r\n${'$60\r\n'.padEnd(65, 'x').concat('\r\n').repeat(2)}`, limits) ?? '', /more than 100 bytes/)
  assert.equal(refusalOf('*5\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n', limits), undefined)
  assert.match(refusalOf('*6\r\n', limits) ?? '', /more than 5 values/)
  assert.match(refusalOf('*3\r\n*3\r\n', limits) ?? '', /more than 5 values/)
  assert.equal(refusalOf('*1\r\n*1\r\n:1\r\n', limits), undefined)
  assert.match(refusalOf('*1\r\n*1\r\n*1\r\n:1\r\n', limits) ?? '', /beyond 2/)
})

test('nothing is read after a problem', () => {
  const replies: unknown[] = []
  const handlers = { reply: (value: unknown) => void replies.push(value), error: (error: Error) => void replies.push(error) }
  const parser = createReplyParser(workLimits, handlers)
  assert.notEqual(parser.write(Buffer.from(':1\r\n?\r\n:2\r\n')), undefined)
  assert.notEqual(parser.write(Buffer.from(':3\r\n')), undefined)
  assert.deepEqual(replies, [1])
  assert.equal(parser.held, 0)
})

test('a large text in pieces of one byte costs what it costs in one', () => {
  const bytes = Buffer.from(`$1000000\r\n${'x'.repeat(1_000_000)}\r\n`)
  const parser = createReplyParser(workLimits, { reply: () => undefined, error: () => undefined })
  let most = 0
  const begun = process.cpuUsage()
  for (let at = 0; at < bytes.length; at++) {
    assert.equal(parser.write(bytes.subarray(at, at + 1)), undefined)
    most = Math.max(most, parser.held)
  }
  const { user, system } = process.cpuUsage(begun)
  assert.ok(most < 2_100_000, `${most} bytes`)
  assert.ok(user + system < 5_000_000, `${user + system} µs`)
  assert.equal(parser.incomplete, false)
})
