import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Arrival, arrivalRate, rememberArrival } from '../../scaling/arrivals.ts'

/** What is remembered after ticks of five seconds that each bring so many entries. */
function history(ticks: number, entriesIn: (tick: number) => number): readonly Arrival[] {
  let [kept, added]: [readonly Arrival[], number] = [[], 0]
  for (let tick = 0; tick < ticks; tick++) {
    added += entriesIn(tick)
    kept = rememberArrival(kept, { atMs: 1_000_000 + tick * 5_000, added })
  }
  return kept
}

const rows: readonly { name: string; ticks: number; entriesIn: (tick: number) => number; least: number; most: number }[] = [
  { name: 'an even load is its rate', ticks: 60, entriesIn: () => 50, least: 10, most: 10 },
  {
    name: 'a trickle is averaged over minutes',
    ticks: 90,
    entriesIn: (tick) => (tick % 6 === 0 ? 1 : 0),
    least: 0.02,
    most: 0.05,
  },
  { name: 'a step is believed within 15 seconds', ticks: 63, entriesIn: (tick) => (tick < 60 ? 50 : 500), least: 80, most: 100 },
  { name: 'a batch is work and not a rate', ticks: 62, entriesIn: (tick) => (tick === 60 ? 3_000 : 25), least: 4, most: 60 },
  { name: 'nor is it half a minute later', ticks: 68, entriesIn: (tick) => (tick === 60 ? 3_000 : 25), least: 4, most: 6 },
  { name: 'what ended is forgotten within a minute', ticks: 74, entriesIn: (tick) => (tick < 60 ? 500 : 50), least: 9, most: 11 },
]

describe('the arrival rate', () => {
  for (const { name, ticks, entriesIn, least, most } of rows) {
    it(name, () => {
      const { perSecond } = arrivalRate(history(ticks, entriesIn))
      assert.ok(perSecond >= least && perSecond <= most, `${perSecond} is not within ${least} and ${most}`)
    })
  }

  it('says how much of it may be chance', () => {
    assert.ok(Math.abs(arrivalRate(history(60, () => 50)).noise - 1 / Math.sqrt(600)) < 1e-9)
  })
})
