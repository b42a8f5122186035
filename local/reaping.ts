/**
 * Releases the entries of a dead consumer process at once. Only a parent knows for sure that its child has ended, so the
 * heartbeat need not expire first. The next process of that slot's name has another uid in the registry, and is left alone.
 */
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure } from '../api/errors.ts'
import { failureOn, type RedisConnection } from '../redis/connect/connection.ts'
import { type StreamPlace, streamPlace } from '../redis/placement.ts'
import { type Reaping, reapConsumer } from '../redis/stream/reaping.ts'
import { parseHeartbeat } from '../redis/stream/registry.ts'
import type { Dead } from './slot.ts'

export interface Reaper {
  /** Reaps a process that has ended. A failed attempt is repeated in one of the next turns. */
  died(dead: Dead): void
  /** Repeats it for processes whose name is not gone. Never rejects. */
  turn(): Promise<void>
}

interface ReaperParts {
  readonly pipeline: CompiledPipeline
  readonly redis: RedisConnection
  readonly onEvent: (line: string) => void
}

/**
 * Releases the entries of an ended process. Its name stays until other consumers have claimed them. Its heartbeat is deleted at
 * once, or it would count as living until that expires. Throws catalogued errors.
 */
export async function reapDead(
  redis: RedisConnection,
  place: StreamPlace,
  { name, uid }: Dead,
  minIdleMs: number,
): Promise<Reaping> {
  const reaping = await reapConsumer(redis, place, { name, uid, minIdleMs, requireExpiredHeartbeat: false })
  if (reaping.kind !== 'Released') return reaping
  const heartbeat = place.keys.consumer(name)
  try {
    // The next process of that name has a heartbeat of its own.
    if (parseHeartbeat(await redis.get(heartbeat))?.uid === uid) await redis.del(heartbeat)
  } catch (thrown) {
    throw failureOn(redis, thrown)
  }
  return reaping
}

export function createReaper({ pipeline, redis, onEvent }: ReaperParts): Reaper {
  const place = streamPlace(pipeline)
  const { minIdleMs } = pipeline.reclaim
  const unfinished = new Map<string, Dead>()
  let working = Promise.resolve()

  const reap = async (dead: Dead): Promise<void> => {
    try {
      const reaping = await reapDead(redis, place, dead, minIdleMs)
      if (reaping.kind !== 'Released') unfinished.delete(dead.uid)
      else if (reaping.entries > 0)
        onEvent(`consumer ${dead.name} left entries unsettled (${reaping.entries}); other consumers take them now`)
    } catch (thrown) {
      const error = asFailure(thrown)
      // The scaling loop reports a Redis that is away. The next turn tries again.
      if (error.retryable) return
      unfinished.delete(dead.uid)
      onEvent(`entries of consumer ${dead.name} wait for reclaim.minIdle: ${error.message}`)
    }
  }

  const turn = async (): Promise<void> => {
    working = working.then(async () => {
      for (const dead of [...unfinished.values()]) await reap(dead)
    })
    await working
  }

  return {
    died(dead) {
      unfinished.set(dead.uid, dead)
      // Never rejects, and the turn that ends the run waits for it.
      void turn()
    },
    turn,
  }
}
