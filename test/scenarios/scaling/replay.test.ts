import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decide } from '../../../scaling/decide.ts'
import type { LoggedDecision } from '../../../scaling/decisionlog.ts'
import type { ScalingPolicy } from '../../../scaling/policy.ts'
import type { Sample } from '../../../scaling/sample.ts'
import { replay } from '../../../scaling/simulate/replay.ts'
import type { ScalingState } from '../../../scaling/state.ts'
import { consumers, policyWith, sampleWith, stateWith } from '../../scaling/builders.ts'

const beginsMs = 1_000_000

/** A log as an operator writes it, of one look after another. */
function logged(begin: ScalingState | undefined, samples: readonly Sample[], policy: ScalingPolicy): LoggedDecision[] {
  let state = begin
  return samples.map((sample) => {
    const decision = decide(state, sample, policy)
    const line = { version: 1, pipeline: 'default/ndvi', sample, state: state ?? null, policy, decision }
    state = decision.state
    return JSON.parse(JSON.stringify(line))
  })
}

describe('a replayed log', () => {
  it('counts the replicas that ran until the next decision, not those that the next one asked for', () => {
    const hourMs = 3_600_000
    const backlog = { undelivered: 10_000, undeliveredAgeMs: 60_000, entriesAdded: 10_000 }
    const samples = [
      sampleWith({ atMs: beginsMs, consumers: consumers(3, { at: beginsMs }) }),
      sampleWith({ atMs: beginsMs + hourMs, consumers: consumers(3, { at: beginsMs + hourMs, serviceMs: 1_000 }), ...backlog }),
    ]
    const { recordedReplicaHours, recordedMost, notReproduced } = replay(
      logged(undefined, samples, policyWith({ currentReplicas: 3 })),
    )
    assert.equal(notReproduced, 0)
    assert.ok(recordedMost > 3)
    assert.equal(recordedReplicaHours, 3)
  })

  it('omits, under another policy, the scaling fields that only the recorded policy sets', () => {
    const { scaleDownDelayMs, ...asked } = policyWith({ maxReplicas: 10 })
    assert.equal(scaleDownDelayMs, 300_000)
    const samples = Array.from({ length: 30 }, (_, i) => {
      const atMs = beginsMs + i * 5_000
      return sampleWith({ atMs, consumers: consumers(8, { at: atMs }) })
    })
    const begin = stateWith({ replicas: 8, startUp: { typicalMs: 1_000 }, wanted: [{ atMs: beginsMs - 1, replicas: 8 }] })
    const log = logged(begin, samples, policyWith())
    const { differing, recordedReplicaHours, replicaHours } = replay(log, asked)
    assert.ok(log.every(({ decision }) => decision.replicas === 8))
    assert.ok(differing > 0)
    assert.ok(replicaHours < recordedReplicaHours)
  })
})
