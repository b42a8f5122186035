/** The scaling state outlives the operator in the pipeline's own `stats` hash, so that a new leader need not learn it anew. */
import type { RedisConnection } from '../../redis/connect/connection.ts'
import type { KeySpace } from '../../redis/keys.ts'
import { scalingState } from '../../redis/scripts/generated.ts'
import { stateField as field, longestState } from '../../scaling/circuit.ts'
import type { ScalingState } from '../../scaling/state.ts'
import { parseScalingState } from '../../scaling/storedstate.ts'

/** Undefined when there is none, or one of another version: losing it only makes the next decisions cautious. */
export async function readScalingState(redis: RedisConnection, { stats }: KeySpace): Promise<ScalingState | undefined> {
  const { state } = await scalingState(redis, { stats }, { field, most: longestState })
  return parseScalingState(state)
}

export async function writeScalingState(redis: RedisConnection, keys: KeySpace, state: ScalingState): Promise<void> {
  const text = JSON.stringify(state)
  // A state that cannot be read back would only use memory of Redis.
  if (parseScalingState(text) !== undefined) await redis.hset(keys.stats, field, text)
}
