/**
 * A sound decision from any stored state and sample. Both come from a Redis that other programs write to. Even in the right form they may
 * lead to a computation that ends in no number. The stored state is then forgotten, and the sample too, if needed. Without both, the number
 * of replicas stays as it was.
 */
import { type Decision, decide } from './decide.ts'
import type { ScalingPolicy } from './policy.ts'
import type { Sample } from './sample.ts'
import type { ScalingState } from './state.ts'

/** Throws nothing. `replicas` is a whole number from 0 on. */
export function soundDecision(state: ScalingState | undefined, sample: Sample | undefined, policy: ScalingPolicy): Decision {
  return attempt(state, sample, policy) ?? attempt(undefined, sample, policy) ?? decide(undefined, undefined, policy)
}

function attempt(state: ScalingState | undefined, sample: Sample | undefined, policy: ScalingPolicy): Decision | undefined {
  try {
    const decision = decide(state, sample, policy)
    return isCount(decision.replicas) && isCount(decision.recommended) && isCount(decision.state.replicas) ? decision : undefined
  } catch {
    // The error is not kept: only forgetting the stored state can mend it, which the next attempt does.
    return undefined
  }
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
