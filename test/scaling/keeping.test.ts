import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { keepMs, stepDown, stepMs } from '../../scaling/keeping.ts'
import { policyWith } from './builders.ts'

const learned = policyWith({ scaleDownDelayMs: undefined })

describe('what is kept after a load fell', () => {
  const rows = [
    { name: 'as long as four starts and drains take', typicalMs: 10_000, serviceMs: 5_000, expected: 60_000 },
    { name: 'half a minute where both take no time', typicalMs: 1_000, serviceMs: 10, expected: 30_000 },
    { name: 'five minutes at most', typicalMs: 90_000, serviceMs: 1_000, expected: 300_000 },
    { name: 'five minutes where no start was seen', typicalMs: undefined, serviceMs: 10, expected: 300_000 },
    { name: 'four starts where nothing was settled yet', typicalMs: 20_000, serviceMs: undefined, expected: 80_000 },
  ]
  for (const { name, typicalMs, serviceMs, expected } of rows) {
    it(`is kept for ${name}`, () => {
      assert.equal(keepMs(learned, typicalMs === undefined ? {} : { typicalMs }, serviceMs), expected)
    })
  }

  it('is kept for scaleDownDelay where that is set', () => {
    assert.equal(keepMs(policyWith({ scaleDownDelayMs: 7_000 }), { typicalMs: 90_000 }, 60_000), 7_000)
  })
})

describe('a step down', () => {
  it('is half where a start is quick, and small where it is slow', () => {
    const steps = [1_000, 20_000, 90_000].map((typicalMs) => stepDown(30, learned, { typicalMs }))
    assert.deepEqual(steps, [15, 20, 27])
  })

  it('waits until the one before could be seen to be a mistake', () => {
    assert.deepEqual(
      [1_000, 20_000, 90_000].map((typicalMs) => stepMs(learned, { typicalMs })),
      [10_000, 20_000, 30_000],
    )
    assert.equal(stepMs(policyWith({ scaleDownDelayMs: 10_000 }), { typicalMs: 20_000 }), 1_000)
  })

  it('takes at least one and at most half, and if it was too much that can be made good within half the target', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1_000, max: 3_600_000 }),
        fc.integer({ min: 0, max: 300_000 }),
        (replicas, targetAgeMs, typicalMs) => {
          const left = stepDown(replicas, policyWith({ targetAgeMs }), { typicalMs })
          assert.ok(left < replicas && left >= Math.floor(replicas / 2))
          // Each replica missing lets one replica's worth of entries wait until a new one is up; those left share them.
          const waitMs = ((replicas - left) * (10_000 + typicalMs)) / Math.max(1, left)
          assert.ok(left === replicas - 1 || waitMs <= targetAgeMs / 2)
        },
      ),
    )
  })
})
