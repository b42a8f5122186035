/** The waits between attempts: doubling, bounded, spread over their upper half. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { backoffMs } from '../../process/backoff.ts'
import { seed } from '../support/seed.ts'

const backoff = { baseMs: 100, maxMs: 10_000 }

test('the wait doubles from its base to its bound', () => {
  const attempts = [1, 2, 3, 7, 8, 1_000_000]
  const waits = (random?: number) => attempts.map((attempt) => backoffMs(attempt, backoff, random))
  assert.deepEqual(waits(), [100, 200, 400, 6_400, 10_000, 10_000])
  assert.deepEqual(waits(0), [50, 100, 200, 3_200, 5_000, 5_000])
})

test('chance spreads it over the upper half, and a later attempt never waits less', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.double({ min: 0, max: 0.999_999, noNaN: true }), (attempt, random) => {
      const ms = backoffMs(attempt, backoff, random)
      assert.ok(ms >= 50 && ms <= 10_000)
      assert.ok(backoffMs(attempt + 1, backoff, random) >= ms)
    }),
    { seed },
  )
})
