/** Reads the scaler's circuit breaker from Redis, for consumers (scaling/circuit.ts). */
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { KeySpace } from '../redis/keys.ts'
import { scalingState } from '../redis/scripts/generated.ts'
import { longestState, opensCircuit, stateField } from '../scaling/circuit.ts'

/** Throws catalogued errors. */
export async function isCircuitOpen(connection: RedisConnection, { stats }: Pick<KeySpace, 'stats'>): Promise<boolean> {
  const { state, now } = await scalingState(connection, { stats }, { field: stateField, most: longestState })
  return opensCircuit(state, now)
}
