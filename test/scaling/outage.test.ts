import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decide } from '../../scaling/decide.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { consumers, policyWith, sampleWith } from './builders.ts'

interface Looks {
  readonly count: number
  readonly quarantined: number
  /** Entries each consumer forwards between two looks. */
  readonly forwards: number
  readonly ready?: number
}

/** Looks every five seconds at four replicas that are not needed, since nothing waits. */
function after(stretches: readonly Looks[]) {
  let state: ScalingState | undefined
  let [atMs, forwarded] = [1_000_000, 1_000]
  let decision: ReturnType<typeof decide> | undefined
  for (const { count, quarantined, forwards, ready = 4 } of stretches) {
    for (let look = 0; look < count; look++) {
      atMs += 5_000
      forwarded += forwards
      const sample = sampleWith({
        atMs,
        pending: quarantined,
        quarantined,
        consumers: consumers(ready, { at: atMs, forwarded }),
      })
      decision = decide(state, sample, policyWith({ scaleDownDelayMs: 0, currentReplicas: 4 }))
      state = decision.state
    }
  }
  assert.ok(decision !== undefined)
  return decision
}

describe('the circuit breaker of the quarantine', () => {
  it('opens where nothing succeeds and everything is quarantined: replicas are held', () => {
    const decision = after([
      { count: 1, quarantined: 0, forwards: 100 },
      { count: 9, quarantined: 500, forwards: 0 },
    ])
    assert.equal(decision.limitedBy, 'Quarantine')
    assert.match(decision.reason, /hold, nothing succeeds and 500 entries were delivered three times or more$/)
    assert.equal(decision.state.outage?.kind, 'Open')
  })

  it('stays closed while anything succeeds, however much is poisoned', () => {
    const decision = after([{ count: 60, quarantined: 1_000, forwards: 1 }])
    assert.deepEqual([decision.state.outage, decision.replicas], [undefined, 1])
  })

  it('stays closed for a few quarantined entries of an idle pipeline, which still shrinks', () => {
    const decision = after([{ count: 60, quarantined: 3, forwards: 0 }])
    assert.deepEqual([decision.state.outage?.kind, decision.replicas], ['Suspected', 1])
  })

  it('counts what was quarantined as work once something succeeds', () => {
    const decision = after([
      { count: 1, quarantined: 0, forwards: 100 },
      { count: 9, quarantined: 500, forwards: 0 },
      { count: 1, quarantined: 480, forwards: 10 },
    ])
    assert.deepEqual(decision.state.outage?.kind === 'Readmitting' && decision.state.outage.entries, 480)
  })

  it('forgets once the quarantine is empty', () => {
    const decision = after([
      { count: 1, quarantined: 0, forwards: 100 },
      { count: 9, quarantined: 500, forwards: 0 },
      { count: 2, quarantined: 0, forwards: 10 },
    ])
    assert.equal(decision.state.outage, undefined)
  })
})
