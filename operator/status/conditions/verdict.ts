/** A condition is an ordered list of named checks. The first check with a verdict decides. */
import type { StreamPipelineError } from '../../../api/errors.ts'
import type { Facts } from '../facts.ts'
import type { ConditionReason } from '../reasons.ts'

export interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown'
  /** One of conditionReasons, or an error's reason. */
  readonly reason: string
  readonly message: string
  /** Generation of the spec that was judged; undefined: the current one. */
  readonly generation?: number
}

export interface Check<F> {
  readonly name: string
  readonly says: (facts: F) => Verdict | undefined
}

export type Checks = readonly Check<Facts>[]

export function firstOf<F>(checks: readonly Check<F>[], facts: F): Verdict {
  for (const { says } of checks) {
    const said = says(facts)
    if (said !== undefined) return said
  }
  return verdict('Unknown', 'NotObservedYet', 'Nothing is known yet')
}

export const verdict = (status: Verdict['status'], reason: ConditionReason, message: string): Verdict => ({
  status,
  reason,
  message,
})

export const failed = (error: StreamPipelineError, prefix = ''): Verdict => ({
  status: 'False',
  reason: error.reason,
  message: `${prefix}${error.advice}`,
})

export const unknown = (error: StreamPipelineError, prefix: string): Verdict => ({
  status: 'Unknown',
  reason: error.reason,
  message: `${prefix}${error.advice}`,
})
