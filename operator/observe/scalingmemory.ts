/**
 * The scaling state of one pipeline. The operator reads it from Redis before the first decision, and again when the pipeline reads
 * another stream. It is written when the decided number or the circuit breaker changes, every half minute, and at the end. So the
 * next leader goes on from the last decision.
 *
 *   Unread ──read──▶ Found ──first sample──▶ Resumed       in each state, a decision without a sample keeps the number,
 *                                                          or raises it by onMetricsLoss
 */
import { asFailure } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import type { RedisConnection } from '../../redis/connect/connection.ts'
import type { KeySpace } from '../../redis/keys.ts'
import type { Decision } from '../../scaling/decide.ts'
import type { ScalingPolicy } from '../../scaling/policy.ts'
import { resumed } from '../../scaling/resume.ts'
import type { Sample } from '../../scaling/sample.ts'
import { soundDecision } from '../../scaling/sounddecision.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { isDue } from '../../scaling/storedstate.ts'
import type { MadeDecision } from '../decisionrecorder.ts'
import { readScalingState, writeScalingState } from './scalingstate.ts'

/** Where a state is kept. */
export interface Shelf {
  readonly connection: RedisConnection
  readonly keys: KeySpace
  /** Equal for the same keys at the same Redis. */
  readonly id: string
}

export interface ScalingMemory {
  /** Reads the state kept there, once. Throws catalogued errors. */
  read(shelf: Shelf): Promise<void>
  /** @param sample undefined: Redis could not be asked */
  decide(sample: Sample | undefined, policy: ScalingPolicy): Decision
  /** Writes what changed, if it is due. Throws catalogued errors. @param isLast what would otherwise wait is written now */
  write(shelf: Shelf, isLast?: boolean): Promise<void>
}

/** @param onFailure receives the error of a decision that failed, once until another one, or none, takes its place */
export function createScalingMemory(
  clock: Pick<Clock, 'now'>,
  onDecision: ((made: MadeDecision) => void) | undefined,
  onFailure: ((thrown: unknown) => void) | undefined,
): ScalingMemory {
  let lastFailure: string | undefined
  let state: ScalingState | undefined
  let shelfId: string | undefined
  let found: { readonly state: ScalingState | undefined } | undefined
  let written: { readonly state: ScalingState; readonly atMs: number } | undefined

  return {
    async read({ connection, keys, id }) {
      if (id === shelfId) return
      const stored = await readScalingState(connection, keys)
      shelfId = id
      // The same keys under another name or with another password: this process wrote that state.
      if (stored !== undefined && stored.atMs === written?.state.atMs) return
      found = { state: stored }
      written = undefined
    },
    decide(sample, policy) {
      if (sample !== undefined && found !== undefined) {
        state = resumed(found.state, sample, running(policy, state))
        found = undefined
      }
      let failure: string | undefined
      const decision = soundDecision(state, sample, policy, (thrown) => {
        failure ??= asFailure(thrown).message
        if (failure !== lastFailure) onFailure?.(thrown)
      })
      lastFailure = failure
      onDecision?.({ sample: sample ?? null, state: state ?? null, policy, decision })
      state = decision.state
      return decision
    },
    async write({ connection, keys, id }, isLast = false) {
      // A state that no sample of this stream has touched stays where it is.
      if (state === undefined || id !== shelfId || found !== undefined || state === written?.state) return
      const atMs = clock.now()
      if (!isLast && !isDue(state, written?.state, atMs - (written?.atMs ?? atMs))) return
      const now = { state, atMs }
      await writeScalingState(connection, keys, state)
      written = now
    },
  }
}

/** Decisions made without a sample may not have reached the Deployment yet, so the larger number counts as running. */
function running(policy: ScalingPolicy, state: ScalingState | undefined): ScalingPolicy {
  const { currentReplicas } = policy
  if (state === undefined || currentReplicas === undefined) return policy
  return { ...policy, currentReplicas: Math.max(currentReplicas, state.replicas) }
}
