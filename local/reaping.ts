/**
 * What a consumer process that died still held is released at once, since a parent knows of its child's end what nobody else
 * can know: that it is no zombie. So its heartbeat need not expire first. Whoever holds the slot's name next is another life,
 * which the registry says, and is left alone.
 */
import type { CompiledPipeline } from '../api/compiled.ts'
import { asFailure } from '../api/errors.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import { streamPlace } from '../redis/placement.ts'
import { reapConsumer } from '../redis/stream/reaping.ts'
import type { Dead } from './fleet.ts'

export interface Reaper {
  /** Reaps a process that has ended; what cannot be done now is done in one of the next turns. */
  died(dead: Dead): void
  /** Looks again after those whose name is not gone. Never rejects. */
  turn(): Promise<void>
}

interface ReaperParts {
  readonly pipeline: CompiledPipeline
  readonly redis: RedisConnection
  readonly onEvent: (line: string) => void
}

export function createReaper({ pipeline, redis, onEvent }: ReaperParts): Reaper {
  const place = streamPlace(pipeline)
  const { minIdleMs } = pipeline.reclaim
  const unfinished = new Map<string, Dead>()
  let working = Promise.resolve()

  const reap = async (dead: Dead): Promise<void> => {
    try {
      const reaping = await reapConsumer(redis, place, { ...dead, minIdleMs, requireExpiredHeartbeat: false })
      if (reaping.kind !== 'Released') unfinished.delete(dead.uid)
      else if (reaping.entries > 0)
        onEvent(`consumer ${dead.name} left entries unsettled (${reaping.entries}); the others take them now`)
    } catch (thrown) {
      const error = asFailure(thrown)
      // A Redis that is away is told of by the scaling loop, and asked again in the next turn.
      if (error.retryable) return
      unfinished.delete(dead.uid)
      onEvent(`what consumer ${dead.name} left must wait for reclaim.minIdle: ${error.message}`)
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
