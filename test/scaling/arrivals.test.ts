import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Arrival, rememberArrival } from '../../scaling/arrivalhistory.ts'
import { arrivalRate } from '../../scaling/arrivals.ts'

/** The remembered arrivals after ticks of five seconds that each bring so many entries. */
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
  { name: 'a fall is believed within 15 seconds', ticks: 63, entriesIn: (tick) => (tick < 60 ? 500 : 50), least: 10, most: 20 },
  {
    name: 'a step is its rate while the window still remembers the time before',
    ticks: 66,
    entriesIn: (tick) => (tick < 60 ? 50 : 500),
    least: 98,
    most: 101,
  },
  {
    name: 'a trickle that grew is not averaged with what it was',
    ticks: 384,
    entriesIn: (tick) => (tick < 360 ? tick % 3 : 5 * (tick % 3)),
    least: 0.95,
    most: 1.05,
  },
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
    assert.ok(Math.abs(arrivalRate(history(60, () => 50)).noise - 1 / Math.sqrt(1200)) < 1e-9)
  })

  it('is surer of a trickle the longer it lasts, up to half an hour', () => {
    const noise = (ticks: number) => arrivalRate(history(ticks, (tick) => (tick % 4 === 0 ? 1 : 0))).noise
    assert.ok(noise(120) < noise(60) && noise(360) < noise(120))
    assert.ok(noise(1000) > 0.95 * noise(370))
  })

  it('takes ten times the variance for chance where entries come in tens', () => {
    // 0, 1 or 2 clumps a tick, in no order.
    const clumps = (size: number) => arrivalRate(history(120, (tick) => size * (((tick * 7919) % 31) % 3))).noise
    const ratio = clumps(10) / clumps(1)
    assert.ok(ratio > 0.9 && ratio < 1.1, String(ratio))
  })

  it('keeps fewer than a hundred and fifty points, at whatever tick', () => {
    let kept: readonly Arrival[] = []
    for (let second = 0; second < 7_200; second++) {
      kept = rememberArrival(kept, { atMs: 1_000_000 + second * 1_000, added: second })
      assert.ok(kept.length < 150, String(kept.length))
    }
    assert.ok(Math.abs(arrivalRate(kept).perSecond - 1) < 0.01)
  })
})
