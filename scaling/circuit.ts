/**
 * The circuit breaker as consumers see it (outage.ts). While it is open, no attempt succeeds, and frequent deliveries say nothing
 * about an entry. So its delivery count then makes no dead letter.
 *
 * It is read from the state that the scaler keeps in Redis, and believed only while that is fresh. A scaler that is gone must not
 * keep dead letters back for ever.
 */
import type { ScalingState } from './state.ts'

/** Field of the `stats` hash that holds the scaler's state as JSON. */
export const stateField = 'scaling'

/** Characters. A state of full windows has some 20,000. */
export const longestState = 262_144

/** The state is written every half minute. */
const believedForMs = 120_000

/** @param text the state as kept @param nowMs server time */
export function opensCircuit(text: string, nowMs: number): boolean {
  let state: Partial<ScalingState> | null
  try {
    state = JSON.parse(text || 'null') as Partial<ScalingState> | null
  } catch {
    // Not what the scaler wrote: nothing is known.
    return false
  }
  if (state === null || state.outage?.kind !== 'Open' || typeof state.atMs !== 'number') return false
  return Math.abs(nowMs - state.atMs) <= believedForMs
}
