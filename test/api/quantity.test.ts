import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatQuantity, parseQuantity } from '../../api/quantity.ts'
import '../support/leaks.ts'

test('sizes are bytes, with binary and decimal suffixes', () => {
  const rows: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['1024', 1024],
    ['256Ki', 262_144],
    ['4Mi', 4_194_304],
    ['1G', 1_000_000_000],
    ['1e6', 1_000_000],
    ['1.5Ki', 1536],
    ['0.1', 1],
    ['256K', undefined],
    ['256KB', undefined],
    ['256m', undefined],
    ['-1', undefined],
    ['', undefined],
    ['Ki', undefined],
    [' 1', undefined],
  ]
  for (const [text, bytes] of rows) assert.equal(parseQuantity(text), bytes, JSON.stringify(text))
})

test('what is formatted parses back to the same number', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.equal(parseQuantity(formatQuantity(bytes)), bytes)))
  fc.assert(fc.property(fc.nat(4096), (count) => assert.equal(parseQuantity(formatQuantity(count * 2 ** 20)), count * 2 ** 20)))
})
