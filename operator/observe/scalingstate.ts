/** What scaling remembers outlives the operator in the pipeline's own `stats` hash, so that a new leader need not learn it anew. */
import type { RedisConnection } from '../../redis/connect/connection.ts'
import type { KeySpace } from '../../redis/keys.ts'
import { stateField as field } from '../../scaling/circuit.ts'
import type { ScalingState } from '../../scaling/state.ts'

/** Undefined when there is none, or one of another version: losing it only makes the next decisions cautious. */
export async function readScalingState(redis: RedisConnection, keys: KeySpace): Promise<ScalingState | undefined> {
  const text = await redis.hget(keys.stats, field)
  if (text === null) return undefined
  try {
    const state = JSON.parse(text) as Partial<ScalingState>
    return state.version === 1 ? (state as ScalingState) : undefined
  } catch {
    // Not JSON, so not ours any more: start anew.
    return undefined
  }
}

export async function writeScalingState(redis: RedisConnection, keys: KeySpace, state: ScalingState): Promise<void> {
  await redis.hset(keys.stats, field, JSON.stringify(state))
}
