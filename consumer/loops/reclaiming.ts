/**
 * The reclaiming loop: a round at once, then one each `reclaim.interval`, jittered, or as soon as a nudge comes.
 *
 * During an outage no consumer could renew its entries. So after an outage the others get the time to notice its end, before their
 * entries count as abandoned. A round at once would raise delivery counts by the outage alone. An outage that begins within a
 * round, or within that wait, starts the wait anew. A nudge that comes meanwhile is kept for the next round.
 */
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { heartbeatIntervalMs } from '../../redis/stream/registry.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Nudges } from '../nudges.ts'
import { mayRead } from '../states.ts'

/** Longest back-off of a consumer that finds Redis again, and a heartbeat. */
export const renewalMs = 10_000 + heartbeatIntervalMs

interface ReclaimingParts {
  readonly lifecycle: Lifecycle
  readonly clock: Pick<Clock, 'random' | 'after'>
  readonly nudges: Pick<Nudges, 'next'>
  /** Between two rounds, before jitter of a fifth. */
  readonly intervalMs: number
  /** @param fromStart whether the round begins at the oldest entry */
  readonly round: (fromStart: boolean) => Promise<void>
}

/** @param recovered resolves when the entries from before this start are taken up */
export async function reclaiming(parts: ReclaimingParts, recovered: Promise<void>): Promise<void> {
  const { lifecycle, clock, nudges, intervalMs } = parts
  const { draining } = lifecycle
  await recovered
  let outages = 0
  let outagesWaitedOut = 0
  let nudged = false
  lifecycle.onChange(({ kind }) => {
    if (kind === 'BackendDown') outages += 1
  })
  // The first round comes at once: a consumer that this one replaces may have handed entries back.
  let waitMs = 0
  while (!draining.aborted) {
    nudged = (await nudges.next(nudged ? 0 : waitMs, draining)) || nudged
    waitMs = intervalMs * (0.8 + 0.4 * clock.random())
    if (outages === outagesWaitedOut && mayRead(lifecycle.state)) {
      await parts.round(nudged)
      nudged = false
      continue
    }
    await lifecycle.until((state) => mayRead(state) || draining.aborted)
    if (outages === outagesWaitedOut) continue
    outagesWaitedOut = outages
    await pause(renewalMs, draining, clock.after)
  }
}
