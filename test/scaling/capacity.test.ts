import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Capacity, learnCapacity, perReplica } from '../../scaling/capacity.ts'
import { consumers, sampleWith } from './builders.ts'

/** Ticks of five seconds over which each consumer settles so many entries. */
function after(ticks: number, settledEach: (tick: number) => number, waitingMs: number, count = 4): Capacity {
  let capacity: Capacity = { marks: {} }
  for (let tick = 0; tick <= ticks; tick++) {
    const atMs = 1_000_000 + tick * 5_000
    const beat = { at: atMs, forwarded: settledEach(tick) }
    const sample = sampleWith({ atMs, undelivered: 9, undeliveredAgeMs: waitingMs, consumers: consumers(count, beat) })
    capacity = learnCapacity(capacity, sample)
  }
  return capacity
}

describe('what one replica clears', () => {
  it('is measured while the oldest entry has waited for the whole interval', () => {
    assert.equal(after(4, (tick) => tick * 50, 6_000).perSecond, 10)
  })

  it('is not measured where consumers may have been idle in between', () => {
    assert.equal(after(20, (tick) => tick * 50, 4_000).perSecond, undefined)
  })

  it('counts intervals in which a minute-long job settled nothing', () => {
    // One entry a minute each, so most intervals of five seconds see none.
    const measured = after(30 * 12, (tick) => Math.floor(tick / 12), 60_000).perSecond ?? 0
    assert.ok(Math.abs(measured - 1 / 60) < 1 / 600, String(measured))
  })

  it('waits for enough entries before it believes', () => {
    assert.equal(after(1, (tick) => tick * 2, 6_000).perSecond, undefined)
  })

  it('is computed from service times until it was measured', () => {
    const sample = sampleWith({ consumers: consumers(2, { serviceMs: 200 }) })
    assert.equal(perReplica({ marks: {} }, sample, 5), 25)
  })

  it('rises where entries became clearly quicker since, and does not fall where they became slower', () => {
    const capacity: Capacity = { marks: {}, perSecond: 10, serviceMs: 400 }
    const speed = (serviceMs: number) => perReplica(capacity, sampleWith({ consumers: consumers(1, { serviceMs }) }), 1)
    assert.deepEqual([speed(200), speed(390), speed(800)], [20, 10, 10])
  })
})
