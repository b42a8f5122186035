/**
 * A decision whatever was remembered and seen: both come from a Redis that others write to. They have their forms, and still they may
 * be such that a reckoning with them ends in no number. What was remembered is forgotten then, and what was seen, too, if need be: blind,
 * as many run as did.
 */
import { type Decision, decide } from './decide.ts'
import type { ScalingPolicy } from './policy.ts'
import type { Sample } from './sample.ts'
import type { ScalingState } from './state.ts'

/** Throws nothing; `replicas` is a whole number from 0 on. */
export function soundDecision(state: ScalingState | undefined, sample: Sample | undefined, policy: ScalingPolicy): Decision {
  return attempt(state, sample, policy) ?? attempt(undefined, sample, policy) ?? decide(undefined, undefined, policy)
}

function attempt(state: ScalingState | undefined, sample: Sample | undefined, policy: ScalingPolicy): Decision | undefined {
  try {
    const decision = decide(state, sample, policy)
    return isCount(decision.replicas) && isCount(decision.recommended) && isCount(decision.state.replicas) ? decision : undefined
  } catch {
    // Not worth more than the next attempt: nobody can mend what was remembered but by forgetting it.
    return undefined
  }
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
