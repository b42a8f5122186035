/**
 * The way out of BackendDown: wait out the back-off, ask Redis, make the group anew if it is gone, renew what is held, go on.
 */
import { backoffMs } from '../process/backoff.ts'
import { pause } from '../process/pause.ts'
import { open } from '../redis/connect/connection.ts'
import { ensureGroup } from '../redis/stream/group.ts'
import { backendFailure } from './defects.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { ConsumerParts } from './parts.ts'
import type { Presence } from './presence.ts'
import { redisBackoff } from './states.ts'

/** Runs until draining begins. */
export async function recovering(parts: ConsumerParts, lifecycle: Lifecycle, presence: Presence): Promise<void> {
  const { pipeline, place, connections, observer, random } = parts
  const { writer, queue } = connections
  for (;;) {
    const state = await lifecycle.until(({ kind }) => kind === 'BackendDown' || kind === 'Draining' || kind === 'Stopped')
    if (state.kind !== 'BackendDown') return
    await pause(backoffMs(state.strikes, redisBackoff, random()), lifecycle.draining)
    if (lifecycle.draining.aborted) return
    try {
      await open(writer)
      if (queue !== writer) await open(queue)
      // A restored or flushed Redis has no group; anything else leaves it untouched.
      const outcome = await ensureGroup(writer, place.keys, pipeline.source, true)
      if (outcome.kind !== 'exists') observer.groupMade(outcome)
      await presence.renew(0)
      lifecycle.dispatch({ kind: 'BackendAnswered' })
    } catch (thrown) {
      lifecycle.backendFailed(backendFailure(thrown))
      // Renewing needs no memory: under OOM, which may last, what is held stays ours.
      await presence.renew(pipeline.reclaim.minIdleMs / 3).catch(ignoreRenewal)
      await pause(backoffMs(state.strikes + 1, redisBackoff, random()), lifecycle.draining)
    }
  }
}

/** Redis is away altogether: what could not be renewed is renewed when it is back. */
function ignoreRenewal() {}
