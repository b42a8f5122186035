/** The scaler's state as Redis keeps it: what is read, what is dropped, and when it is written. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isDue, parseScalingState } from '../../scaling/storedstate.ts'
import { stateWith } from './builders.ts'

/** As the last release wrote it that did not keep `recommended` and `deployed` apart from `replicas`. */
const old = {
  version: 1,
  atMs: 1_000_000,
  replicas: 3,
  misses: 0,
  arrivals: [{ atMs: 995_000, added: 10 }],
  capacity: {
    perSecond: 20,
    entries: 400,
    serviceMs: 50,
    service: { meanMs: 50, entries: 200 },
    marks: { 'uid-0': { settled: 5, atMs: 1 } },
  },
  startUp: { typicalMs: 8_000, awaiting: { replicas: 3, sinceMs: 990_000 } },
  downstream: { kind: 'Watching', levels: [] },
  wanted: [{ atMs: 1_000_000, replicas: 3 }],
  rush: [],
  lastLateMs: 900_000,
}

const parsed = (state: object) => parseScalingState(JSON.stringify(state))

describe('a stored state', () => {
  it('of the release before is read as it is', () => {
    assert.deepEqual(parsed(old), old)
  })

  it('is read with what was added since', () => {
    const now = {
      ...old,
      recommended: 5,
      deployed: 2,
      sinceMs: 900_000,
      capacity: { ...old.capacity, carried: true },
      startUp: { awaiting: { replicas: 3, sinceMs: 990_000, begunBefore: true } },
      wanted: [{ atMs: 1_000_000, replicas: 3, ran: true }],
    }
    assert.deepEqual(parsed(now), now)
    assert.deepEqual(parsed({ ...now, later: 'of a release to come' }), now)
  })

  it('is dropped whole where any of that is out of its bounds', () => {
    const wrong: readonly object[] = [
      { recommended: -1 },
      { recommended: 2.5 },
      { recommended: 1e9 },
      { deployed: 'three' },
      { deployed: null },
      { sinceMs: -5 },
      { sinceMs: 1e18 },
      { wanted: [{ atMs: 1, replicas: 1, ran: false }] },
      { wanted: [{ atMs: 1, replicas: 1, ran: 'yes' }] },
      { startUp: { typicalMs: 300_001 } },
      { startUp: { awaiting: { replicas: 3, sinceMs: 1, begunBefore: 1 } } },
      { capacity: { marks: {}, carried: 0 } },
      { version: 2 },
    ]
    for (const over of wrong) assert.equal(parsed({ ...old, ...over }), undefined, JSON.stringify(over))
  })

  it('is written for another number or a circuit that opens, else each half minute', () => {
    const written = stateWith({ replicas: 3 })
    const outage = { kind: 'Open', sinceMs: 1, entries: 10 } as const
    const due = (over: object, forMs: number) => isDue({ ...written, ...over }, written, forMs)
    assert.deepEqual(
      [due({}, 29_000), due({}, 30_000), due({ replicas: 2 }, 0), due({ outage }, 0), due({ misses: 1 }, 0)],
      [false, true, true, true, false],
    )
    assert.ok(isDue(written, undefined, 0))
  })
})
