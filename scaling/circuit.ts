/**
 * What consumers hear of the circuit breaker (outage.ts): while it is open, nothing that anybody attempts succeeds, and entries that
 * were delivered too often say nothing about themselves. They are then not dead-lettered.
 *
 * It is read from the state that the scaler keeps in Redis, and believed only while that is fresh: a scaler that is gone must not
 * keep dead letters back for ever.
 */
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { KeySpace } from '../redis/keys.ts'
import { defineScript } from '../redis/scripts/script.ts'
import type { ScalingState } from './state.ts'

/** Field of the `stats` hash that holds the scaler's state as JSON. */
export const stateField = 'scaling'

/** The state is written every half minute. */
const believedForMs = 120_000

const read = defineScript(
  'scalingState',
  `local time = redis.call('TIME')
return {redis.call('HGET', KEYS[1], ARGV[1]) or '', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))}`,
)

/** Throws catalogued errors. */
export async function isCircuitOpen(connection: RedisConnection, { stats }: Pick<KeySpace, 'stats'>): Promise<boolean> {
  const reply = await read.run(connection, [stats], [stateField])
  const [text, now] = Array.isArray(reply) ? reply : []
  return opensCircuit(String(text ?? ''), Number(now))
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
