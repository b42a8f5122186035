/**
 * What consumers hear of the circuit breaker (outage.ts): while it is open, nothing that anybody attempts succeeds, and entries that
 * were delivered too often say nothing about themselves. They are then not dead-lettered.
 *
 * It is read from the state that the scaler keeps in Redis, and believed only while that is fresh: a scaler that is gone must not
 * keep dead letters back for ever.
 */
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { KeySpace } from '../redis/keys.ts'
import { scalingState } from '../redis/scripts/generated.ts'
import type { ScalingState } from './state.ts'

/** Field of the `stats` hash that holds the scaler's state as JSON. */
export const stateField = 'scaling'

/** Characters. A state of full windows has some 20,000. */
export const longestState = 262_144

/** The state is written every half minute. */
const believedForMs = 120_000

/** Throws catalogued errors. */
export async function isCircuitOpen(connection: RedisConnection, { stats }: Pick<KeySpace, 'stats'>): Promise<boolean> {
  const { state, now } = await scalingState(connection, { stats }, { field: stateField, most: longestState })
  return opensCircuit(state, now)
}

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
