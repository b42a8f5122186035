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

  it('rises where entries became clearly quicker; where they became slower, falls no further than chance explains', () => {
    const capacity: Capacity = { marks: {}, perSecond: 10, serviceMs: 400 }
    const speed = (serviceMs: number) => perReplica(capacity, sampleWith({ consumers: consumers(1, { serviceMs }) }), 4)
    assert.deepEqual([speed(200), speed(400), speed(800)], [20, 10, 9])
  })

  it('is what service times say, as far as a measurement leaves that open', () => {
    const speed = (perSecond: number, entries: number) =>
      perReplica(
        { marks: {}, perSecond, entries, serviceMs: 100 },
        sampleWith({ consumers: consumers(1, { serviceMs: 100 }) }),
        1,
      )
    assert.deepEqual([speed(10.5, 100), speed(9.5, 100), speed(8, 100), speed(8, 10_000)], [10, 10, 8.8, 8.08])
  })

  it('counts a stretch only if what waited at its beginning could hardly be cleared during it', () => {
    const learned = (waiting: number): Capacity => {
      let capacity: Capacity = { marks: {} }
      for (let tick = 0; tick <= 10; tick++) {
        const atMs = 1_000_000 + tick * 5_000
        const beat = { at: atMs, forwarded: tick * 50 }
        const sample = sampleWith({ atMs, undelivered: waiting, undeliveredAgeMs: 60_000, consumers: consumers(4, beat) })
        capacity = learnCapacity(capacity, sample, 10)
      }
      return capacity
    }
    // Four clear 200 in five seconds, and with luck 243.
    assert.deepEqual([learned(240).perSecond, learned(245).perSecond], [undefined, 10])
  })

  it('forgets what it measured where chance cannot explain the difference', () => {
    const now = (perTick: number) => {
      const before: Capacity = {
        marks: { 'uid-0': { settled: 0, atMs: 1_000_000 } },
        backlogSinceMs: 0,
        perSecond: 100,
        entries: 2_000,
      }
      const beat = { at: 1_005_000, forwarded: perTick }
      const sample = sampleWith({ atMs: 1_005_000, undelivered: 9, undeliveredAgeMs: 60_000, consumers: consumers(1, beat) })
      return learnCapacity(before, sample).perSecond
    }
    assert.deepEqual([now(200), Math.round(now(475) ?? 0)], [40, 99])
  })
})
