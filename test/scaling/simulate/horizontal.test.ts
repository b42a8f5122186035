import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createHorizontal } from '../../../scaling/simulate/horizontal.ts'

const bounds = { min: 1, max: 100 }

describe('the HorizontalPodAutoscaler that ours is compared with', () => {
  it('multiplies the pods that are given, and stands still within a tenth', () => {
    assert.equal(createHorizontal(bounds).scale(10, 1.5, 10, 0), 15)
    assert.equal(createHorizontal(bounds).scale(10, 1.5, 6, 0), 10)
    assert.equal(createHorizontal(bounds).scale(10, 1.09, 10, 0), 10)
  })

  it('grows by four or to twice as many at once, whichever is more, and within its bounds', () => {
    assert.equal(createHorizontal(bounds).scale(2, 50, 2, 0), 6)
    assert.equal(createHorizontal(bounds).scale(20, 50, 20, 0), 40)
    assert.equal(createHorizontal({ min: 1, max: 30 }).scale(20, 50, 20, 0), 30)
  })

  it('shrinks to the most that was asked for in five minutes, never below one', () => {
    const hpa = createHorizontal({ min: 0, max: 100 })
    assert.equal(hpa.scale(10, 1, 10, 0), 10)
    assert.equal(hpa.scale(10, 0, 10, 285), 10)
    assert.equal(hpa.scale(10, 0, 10, 300), 1)
  })
})
