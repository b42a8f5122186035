/**
 * The recovering loop, the only way out of BackendDown.
 *
 *   BackendDown ──back-off──▶ connect, make the group if it is gone, renew what is held ──▶ Running
 *        ▲                                        │
 *        └── renew what can be renewed, longer back-off ◀── refused or unreachable
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import { backoffMs } from '../../process/backoff.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { open } from '../../redis/connect/connection.ts'
import type { StreamPlace } from '../../redis/placement.ts'
import { ensureGroup, type GroupOutcome } from '../../redis/stream/group.ts'
import { backendFailure } from '../backendfailure.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { ConsumerConnections } from '../parts.ts'
import type { Presence } from '../presence.ts'
import { redisBackoff } from '../states.ts'

interface RecoveringParts {
  readonly pipeline: Pick<CompiledPipeline, 'source' | 'reclaim'>
  readonly place: StreamPlace
  readonly connections: Pick<ConsumerConnections, 'writer' | 'queue'>
  readonly lifecycle: Lifecycle
  readonly clock: Pick<Clock, 'random' | 'after'>
  readonly presence: Pick<Presence, 'renew'>
  /** Receives a group that had to be made anew. */
  readonly groupMade: (outcome: GroupOutcome) => void
}

/** Runs until draining begins. */
export async function recovering(parts: RecoveringParts): Promise<void> {
  const { pipeline, lifecycle, clock, presence } = parts
  const backOff = async (attempt: number) =>
    await pause(backoffMs(attempt, redisBackoff, clock.random()), lifecycle.draining, clock.after)
  for (;;) {
    const state = await lifecycle.until(({ kind }) => kind === 'BackendDown' || kind === 'Draining' || kind === 'Stopped')
    if (state.kind !== 'BackendDown') return
    await backOff(state.failures)
    if (lifecycle.draining.aborted) return
    try {
      await returnToRedis(parts)
      lifecycle.dispatch({ kind: 'BackendAnswered' })
    } catch (thrown) {
      lifecycle.backendFailed(backendFailure(thrown))
      // Renewing needs no memory: under OOM, which may last, what is held stays ours.
      await presence.renew(pipeline.reclaim.minIdleMs / 3).catch(ignoreRenewal)
      await backOff(state.failures + 1)
    }
  }
}

async function returnToRedis({ pipeline, place, connections, presence, groupMade }: RecoveringParts): Promise<void> {
  const { writer, queue } = connections
  await open(writer)
  if (queue !== writer) await open(queue)
  // A restored or flushed Redis has no group. One that is there is left untouched.
  const outcome = await ensureGroup(writer, place.keys, pipeline.source, true)
  if (outcome.kind !== 'exists') groupMade(outcome)
  await presence.renew(0)
}

/** Redis is away altogether: what could not be renewed is renewed when it is back. */
function ignoreRenewal() {}
