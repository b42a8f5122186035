/** Replies with entries, taken apart as they arrive: equal to what the general parser reads, whatever the cuts, and with bounds of their own. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Reply } from '../../../redis/reply/assembly.ts'
import { createEntrySinks, type ReadEntries } from '../../../redis/reply/entrysink.ts'
import { beginOf, bytesOf, checkHeld, type FieldList } from '../../../redis/reply/fieldlist.ts'
import { type ReplyLimits, workLimits } from '../../../redis/reply/limits.ts'
import { createReplyParser } from '../../../redis/reply/parser.ts'
import { createRandom } from '../../scenarios/hostile/payloads.ts'
import { seed } from '../../support/seed.ts'

type Random = ReturnType<typeof createRandom>

const textsOf = ({ table, from, to }: FieldList): string[] =>
  Array.from({ length: to - from }, (_, at) => table.bytes.toString('latin1', beginOf(table, from + at), table.ends[from + at]))

/** A parser whose replies are all of entries; one for several replies, as a connection has it. */
function openReader(limits: ReplyLimits = workLimits, keep = false) {
  const sinks = createEntrySinks()
  const read: ReadEntries[] = []
  const others: (Reply | Error)[] = []
  const parser = createReplyParser(limits, {
    sink: (ended) =>
      sinks.begin((entries) => {
        ended()
        read.push(entries)
      }),
    reply: (value) => void others.push(value),
    error: (error) => void others.push(error),
  })
  const write = (bytes: Buffer, cuts: readonly number[] = []) => {
    let refusal: string | undefined
    let from = 0
    for (const to of [...cuts, bytes.length]) {
      // A copy that is spoilt afterwards: nothing of a piece may be kept.
      const piece = Buffer.from(bytes.subarray(from, to))
      refusal = parser.write(piece)
      piece.fill(0)
      from = to
    }
    const found = read.splice(0).map(({ entries, table }) => {
      const plain = entries.map(({ id, fields }) => [id, textsOf(fields)])
      const sizes = entries.map(({ fields }) => bytesOf(fields))
      assert.deepEqual(
        sizes,
        plain.map(([, texts]) => (texts as string[]).reduce((sum, text) => sum + text.length, 0)),
      )
      if (!keep) table.release()
      return plain
    })
    return { found, others: others.splice(0), refusal }
  }
  return { write, parser, read }
}

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`
const list = (items: readonly string[], type = '*') => `${type}${items.length}\r\n${items.join('')}`

/** Latin-1 letters stand for bytes. */
function randomText(random: Random): string {
  const length = random.below(40) === 0 ? random.below(200_000) : random.below(30)
  return Array.from({ length }, () => String.fromCharCode(random.below(256))).join('')
}

function randomEntries(random: Random) {
  return Array.from({ length: random.below(6) }, (_, at): [string, string[]] => [
    `${1_780_000_000_000 + at}-${random.below(9)}`,
    Array.from({ length: 2 * random.below(5) }, () => randomText(random)),
  ])
}

function written(entries: readonly [string, string[]][], form: 'RESP2' | 'RESP3', random: Random): string {
  const rows = entries.map(([id, texts]) =>
    list([bulk(id), texts.length === 0 && random.below(2) === 0 ? '*-1\r\n' : list(texts.map(bulk))]),
  )
  const content = [bulk('a stream'), list(rows)]
  return form === 'RESP2' ? list([list(content)]) : `%1\r\n${content.join('')}`
}

test('entries are read as they were written, in both protocols, however the reply is cut', () => {
  const random = createRandom(seed)
  const { write } = openReader()
  for (let round = 0; round < 400; round++) {
    const entries = randomEntries(random)
    const form = random.below(2) === 0 ? 'RESP2' : 'RESP3'
    const bytes = Buffer.from(written(entries, form, random), 'latin1')
    const everywhere = bytes.length < 3_000 && random.below(4) === 0
    const cuts = everywhere
      ? Array.from({ length: bytes.length - 1 }, (_, at) => at + 1)
      : Array.from({ length: random.below(6) }, () => random.below(bytes.length)).sort((a, b) => a - b)
    const { found, refusal } = write(bytes, cuts)
    assert.equal(refusal, undefined)
    assert.deepEqual(found, [entries], `seed ${seed}, round ${round}`)
  }
})

test('what is no list goes the usual way, and replies follow one another', () => {
  const { write } = openReader()
  const entries = written([['1-1', ['a', 'b']]], 'RESP3', createRandom(seed))
  const { found, others } = write(Buffer.from(`*-1\r\n_\r\n-NOGROUP gone\r\n:7\r\n${entries}${entries}`))
  assert.deepEqual(others.map(String), ['null', 'null', 'ReplyError: NOGROUP gone', '7'])
  assert.equal(found.length, 2)
})

describe('another form is refused', () => {
  const fields = list(['a', 'b'].map(bulk))
  const entry = list([bulk('1-1'), fields])
  const reply = (...entries: string[]) => list([list([bulk('s'), list(entries)])])
  const cases: Readonly<Record<string, string>> = {
    'a number for an entry': reply(':1\r\n'),
    'a text for an entry': reply(bulk('1-1')),
    'an entry without fields': reply(list([bulk('1-1')])),
    'an entry of three': reply(list([bulk('1-1'), fields, fields])),
    'a list for an id': reply(list([fields, fields])),
    'nothing for an id': reply(list(['*-1\r\n', fields])),
    'text for fields': reply(list([bulk('1-1'), bulk('a')])),
    'fields of odd number': reply(list([bulk('1-1'), list([bulk('a')])])),
    'a list among the fields': reply(list([bulk('1-1'), list([bulk('a'), list([bulk('b')])])])),
    'a number among the fields': reply(list([bulk('1-1'), list([bulk('a'), ':1\r\n'])])),
    'an error among the fields': reply(list([bulk('1-1'), list([bulk('a'), '-ERR no\r\n'])])),
    'no name of the stream': list([list([list([entry]), list([entry])])]),
    'no entries of the stream': list([list([bulk('s'), bulk('t')])]),
    'a map within': reply(list([bulk('1-1'), `%1\r\n${bulk('a')}${bulk('b')}`])),
    'a text longer than it says': reply(list([bulk('1-1'), '*2\r\n$1\r\naaa\r\n'])),
  }
  for (const [what, text] of Object.entries(cases)) {
    test(what, () => {
      const { write, parser } = openReader()
      const bytes = Buffer.from(text)
      assert.notEqual(write(bytes).refusal, undefined)
      assert.notEqual(
        openReader().write(
          bytes,
          Array.from({ length: bytes.length - 1 }, (_, at) => at + 1),
        ).refusal,
        undefined,
      )
      assert.equal(parser.held, 0)
    })
  }
})

test('the bounds are those of any reply: bytes, values', () => {
  const limits: ReplyLimits = { bytes: 200, items: 12, depth: 8, ms: 1_000 }
  const of = (...entries: [string, string[]][]) => Buffer.from(written(entries, 'RESP2', createRandom(seed)))
  assert.equal(openReader(limits).write(of(['1-1', ['a', 'b']])).refusal, undefined)
  assert.match(openReader(limits).write(of(['1-1', ['a', 'x'.repeat(200)]])).refusal ?? '', /more than 200 bytes/)
  assert.match(openReader(limits).write(of(['1-1', 'a b c d e f g h'.split(' ')])).refusal ?? '', /more than 12 values/)
})

test('an announced length takes no memory before its bytes come', () => {
  const { parser } = openReader()
  assert.equal(
    parser.write(Buffer.from('*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$500000000\r\nxyz')),
    undefined,
  )
  assert.ok(parser.held < 200_000, `${parser.held} bytes`)
  assert.ok(parser.incomplete)
})

test('memory that was given back serves the next reply, and cannot be read any more', () => {
  const { write, read, parser } = openReader(workLimits, true)
  const bytes = Buffer.from(written([['1-1', ['name', 'x'.repeat(1_000)]]], 'RESP3', createRandom(seed)))
  const tables = new Set<Buffer>()
  for (let round = 0; round < 5; round++) {
    const { entries, table } = readOne()
    tables.add(table.bytes)
    const [entry] = entries
    assert.ok(entry !== undefined)
    checkHeld(entry.fields)
    table.release()
    table.release()
    assert.throws(() => checkHeld(entry.fields), { code: 'Internal' })
  }
  assert.equal(tables.size, 1)
  // Two that are held have memory of their own.
  const [first, second] = [readOne(), readOne()]
  assert.notEqual(first.table.bytes, second.table.bytes)
  assert.equal(write(Buffer.alloc(0)).refusal, undefined)

  function readOne(): ReadEntries {
    assert.equal(parser.write(Buffer.from(bytes)), undefined)
    const found = read.pop()
    assert.ok(found !== undefined)
    return found
  }
})
