import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { closeBook, follow, openBook, reckon } from '../../local/book.ts'
import type { Account } from '../../redis/stream/account.ts'

const account = (over: Partial<Account> = {}): Account => ({
  ...{ atMs: 1_000, known: true, present: true, born: 10, began: 20, added: 0, length: 0, first: '', cursor: '0-0', last: '0-0' },
  ...{ settled: 0, forwarded: 0, duplicates: 0, dead: 0, trimmed: 0, lost: 0, taken: 0, deadLetters: 0 },
  ...{ pending: 0, undelivered: 0, counted: true },
  ...over,
})

const numbers = ({ entries, history, forwarded, duplicates, deadLetters, left }: ReturnType<typeof reckon>) => ({
  entries,
  history,
  forwarded,
  duplicates,
  deadLetters,
  left,
})

describe('the book', () => {
  it('counts from its first account to its last, whatever was seen in between', () => {
    const opened = account({ added: 100, settled: 80, forwarded: 70, duplicates: 10, undelivered: 15, pending: 5 })
    const closed = account({ added: 112, settled: 110, forwarded: 95, duplicates: 12, dead: 3, deadLetters: 4, undelivered: 2 })
    const reckoning = reckon(closeBook(openBook(opened), closed))
    const expected = { entries: 12, history: 20, forwarded: 25, duplicates: 2, deadLetters: 4, left: 2 }
    assert.deepEqual(numbers(reckoning), expected)
    assert.deepEqual([reckoning.unexplained, reckoning.otherwise, reckoning.interruptions], [0, 0, []])
  })

  it('names what its equation lacks, and what another version settled', () => {
    const closed = account({ added: 10, settled: 6, forwarded: 2, undelivered: 1 })
    const { unexplained, otherwise } = reckon(closeBook(openBook(account()), closed))
    assert.deepEqual({ unexplained, otherwise }, { unexplained: 3, otherwise: 4 })
    assert.equal(reckon(closeBook(openBook(account()), { ...closed, counted: false })).unexplained, 0)
  })

  const busy = account({ added: 10, length: 10, first: '5-1', last: '9-1', settled: 8, forwarded: 8, undelivered: 2 })

  it('reports a Redis that came back empty, and what waited in it, even if more has come since than before', () => {
    for (const added of [0, 3, 40]) {
      const after = account({
        ...{ atMs: 7_000, born: 30, began: 30, added, length: added, settled: added, forwarded: added },
        ...(added === 0 ? {} : { first: '12-0', last: '13-0' }),
      })
      const reckoning = reckon(closeBook(follow(openBook(account()), busy), after))
      assert.deepEqual(
        numbers(reckoning),
        { entries: 10 + added, history: 0, forwarded: 8 + added, duplicates: 0, deadLetters: 0, left: 0 },
        String(added),
      )
      assert.deepEqual(reckoning.interruptions, [{ how: 'Emptied', atMs: 7_000, left: 2 }])
      assert.equal(reckoning.unexplained, 0)
    }
  })

  it('reports a group that is missing at the end', () => {
    const missing = account({ present: false, known: false, born: 0, began: 0 })
    const book = follow(follow(openBook(account()), busy), missing)
    assert.deepEqual(reckon(book).interruptions, [], 'it may be made again')
    const reckoning = reckon(closeBook(book, missing))
    assert.deepEqual(
      reckoning.interruptions.map(({ how, left }) => [how, left]),
      [['Emptied', 2]],
    )
    assert.equal(reckoning.left, 0)
  })

  it('distinguishes a deleted stream from a group that was made again', () => {
    const went = { settled: 8, forwarded: 8 }
    const deleted = account({ began: 30, added: 1, length: 1, first: '12-0', last: '12-0', undelivered: 1, ...went })
    const more = { ...deleted, added: 20, length: 20, undelivered: 20 }
    for (const after of [deleted, more]) {
      const reckoning = reckon(closeBook(follow(openBook(account()), busy), after))
      assert.equal(reckoning.interruptions[0]?.how, 'Deleted')
      assert.deepEqual([reckoning.entries, reckoning.forwarded, reckoning.unexplained], [10 + after.added, 8, 0])
    }
    const remade = account({ ...busy, began: 30, added: 11, length: 11, last: '14-0', undelivered: 3 })
    const reckoning = reckon(closeBook(follow(openBook(account()), busy), remade))
    assert.equal(reckoning.interruptions[0]?.how, 'Remade')
    assert.deepEqual([reckoning.entries, reckoning.forwarded], [11, 8])
  })

  it('reports older data, and never a negative number', () => {
    const older = { ...busy, added: 6, length: 6, settled: 4, forwarded: 4 }
    const reckoning = reckon(closeBook(follow(openBook(account()), busy), older))
    assert.equal(reckoning.interruptions[0]?.how, 'SetBack')
    const any = fc.record({
      ...{ born: fc.constantFrom(10, 30), began: fc.constantFrom(20, 30), present: fc.boolean(), added: fc.nat(50) },
      ...{ settled: fc.nat(50), forwarded: fc.nat(50), duplicates: fc.nat(9), dead: fc.nat(9), deadLetters: fc.nat(9) },
      ...{ length: fc.nat(50), undelivered: fc.nat(9), pending: fc.nat(9), lost: fc.nat(3), taken: fc.nat(3) },
    })
    fc.assert(
      fc.property(fc.array(any, { minLength: 2, maxLength: 6 }), (seen) => {
        const [first, ...rest] = seen.map((over) => account(over))
        const book = rest.reduce(follow, openBook(first ?? account()))
        const { unexplained: _, interruptions, ...numbers } = reckon(closeBook(book, rest.at(-1) ?? account()))
        for (const [name, number] of Object.entries(numbers)) assert.ok(number >= 0, name)
        assert.ok(interruptions.every(({ left }) => left >= 0))
      }),
    )
  })
})
