/**
 * A sound decision from any stored state and sample. Both come from a Redis that other programs write to. Even in the right form they may
 * lead to a computation that ends in no number. The stored state is then forgotten, and the sample too, if needed. Without both, the number
 * of replicas stays as it was.
 */
import { failure } from '../api/errors.ts'
import { type Decision, decide } from './decide.ts'
import type { ScalingPolicy } from './policy.ts'
import type { Sample } from './sample.ts'
import type { ScalingState } from './state.ts'

/**
 * Throws nothing. `replicas` is a whole number from 0 on.
 * @param onFailure called with the error of each computation that failed
 */
export function soundDecision(
  state: ScalingState | undefined,
  sample: Sample | undefined,
  policy: ScalingPolicy,
  onFailure: (thrown: unknown) => void,
): Decision {
  const attempt = (held: ScalingState | undefined): Decision | undefined => {
    try {
      return checked(decide(held, sample, policy))
    } catch (thrown) {
      onFailure(thrown)
      return undefined
    }
  }
  return attempt(state) ?? attempt(undefined) ?? decide(undefined, undefined, policy)
}

function checked(decision: Decision): Decision {
  const { replicas, recommended, state } = decision
  if ([replicas, recommended, state.replicas].every(isCount)) return decision
  throw failure('Internal', { detail: `decided ${replicas} replicas, recommended ${recommended}, stored ${state.replicas}` })
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
