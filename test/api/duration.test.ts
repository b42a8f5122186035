import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { durationPattern, formatAge, formatDuration, parseDuration } from '../../api/duration.ts'
import '../support/leaks.ts'

test('a duration is pairs of number and unit, in any order', () => {
  const rows: readonly (readonly [string, number | undefined])[] = [
    ['0s', 0],
    ['500ms', 500],
    ['5m', 300_000],
    ['5m5s', 305_000],
    ['5m5ms', 300_005],
    ['500ms1m', 60_500],
    ['1ms1s1m1h', 3_661_001],
    ['1h1h', 7_200_000],
    ['99999h', 359_996_400_000],
    ['100000h', undefined],
    ['1h1m1s1ms1h', undefined],
    ['', undefined],
    ['5', undefined],
    ['s', undefined],
    ['-5s', undefined],
    ['+5s', undefined],
    ['1.5h', undefined],
    ['7d', undefined],
    ['5 s', undefined],
    ['5S', undefined],
    ['5s\n', undefined],
    ['5mss', undefined],
    ['1us', undefined],
  ]
  for (const [text, ms] of rows) assert.equal(parseDuration(text), ms, JSON.stringify(text))
})

const pair = fc.tuple(fc.nat(99_999), fc.constantFrom('h', 'm', 's', 'ms'))
const unitMs = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const

test('what the pattern takes is parsed to the sum of its pairs', () => {
  const pairs = fc.array(pair, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(pairs, (list) => {
      const text = list.map(([count, unit]) => `${count}${unit}`).join('')
      assert.match(text, new RegExp(durationPattern))
      assert.equal(
        parseDuration(text),
        list.reduce((sum, [count, unit]) => sum + count * unitMs[unit as keyof typeof unitMs], 0),
      )
    }),
  )
})

test('what is formatted parses back to the same number', () => {
  const longest = 99_999 * 3_600_000 + 3_599_999
  fc.assert(fc.property(fc.integer({ min: 0, max: longest }), (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)))
})

test('ages are short', () => {
  assert.deepEqual([0, 999, 41_000, 124_000, 3_900_000, 266_400_000, -5].map(formatAge), [
    '0s',
    '0s',
    '41s',
    '2m04s',
    '1h05m',
    '3d02h',
    '0s',
  ])
})
