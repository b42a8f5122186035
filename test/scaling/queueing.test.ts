import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { chanceReplicas, waitingShare } from '../../scaling/queueing.ts'
import { createRandom, exponential } from '../../scaling/simulate/random.ts'

/** Share of entries that wait longer in a simulated M/M/c queue. */
function simulated(arrivals: number, perSlot: number, slots: number, longer: number): number {
  const random = createRandom(1, 'queueing')
  const free = new Array<number>(slots).fill(0)
  let [at, late] = [0, 0]
  const entries = 200_000
  for (let i = 0; i < entries; i++) {
    at += exponential(random) / arrivals
    let first = 0
    for (let slot = 1; slot < slots; slot++) if ((free[slot] as number) < (free[first] as number)) first = slot
    const start = Math.max(at, free[first] as number)
    free[first] = start + exponential(random) / perSlot
    if (start - at > longer) late++
  }
  return late / entries
}

describe('room for chance', () => {
  for (const [arrivals, perSlot, slots, longer] of [
    [0.3, 1 / 60, 20, 50],
    [0.3, 1 / 60, 22, 50],
    [40, 1, 44, 0.5],
    [0.01, 1 / 60, 2, 50],
  ] as const) {
    it(`is what a queue of ${slots} does: ${arrivals}/s, longer than ${longer} s`, () => {
      const [reported, seen] = [
        waitingShare({ arrivals, perReplica: perSlot, slots: 1 }, slots, longer * 1000),
        simulated(arrivals, perSlot, slots, longer),
      ]
      assert.ok(Math.abs(reported - seen) < 0.02 + 0.25 * seen, `${reported}, simulated ${seen}`)
    })
  }

  it('is little for many short jobs, and some for few long ones', () => {
    const room = (arrivals: number, perReplica: number) =>
      chanceReplicas({ arrivals, perReplica, slots: 1 }, 7_500) - arrivals / perReplica
    assert.ok(room(1_000, 100) < 0.2)
    assert.ok(room(0.3, 1 / 10) > 2)
  })

  it('lets at most 2 % of the entries wait longer than given, at any load, and grows with the load', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 10_000, noNaN: true }),
        fc.double({ min: 0.001, max: 1_000, noNaN: true }),
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 250, max: 600_000 }),
        (arrivals, perReplica, slots, longerMs) => {
          const flow = { arrivals, perReplica, slots }
          const replicas = chanceReplicas(flow, longerMs)
          assert.ok(waitingShare(flow, replicas, longerMs) <= 0.0201)
          assert.ok(replicas >= arrivals / perReplica)
          assert.ok(chanceReplicas({ ...flow, arrivals: arrivals * 1.2 }, longerMs) >= replicas)
        },
      ),
    )
  })
})
