/**
 * The regaining loop. With each heartbeat it takes up entries that Redis counts as this consumer's and that it does not hold. Their
 * reply was lost with a connection. It also tries again those that found no room in the dead-letter stream.
 */
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { heartbeatIntervalMs } from '../../redis/stream/registry.ts'
import type { HeldEntries } from '../held.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Presence } from '../presence.ts'
import { mayRead } from '../states.ts'

interface RegainingParts {
  readonly lifecycle: Lifecycle
  readonly clock: Pick<Clock, 'after'>
  readonly held: Pick<HeldEntries, 'withheld'>
  readonly presence: Pick<Presence, 'missesEntries'>
  readonly regainLost: () => Promise<void>
  readonly retryWithheld: () => Promise<void>
}

/** @param recovered resolves when the entries from before this start are taken up */
export async function regaining(parts: RegainingParts, recovered: Promise<void>): Promise<void> {
  const { lifecycle, clock, held, presence } = parts
  await recovered
  while (!lifecycle.draining.aborted) {
    await pause(heartbeatIntervalMs, lifecycle.draining, clock.after)
    if (!mayRead(lifecycle.state)) continue
    if (presence.missesEntries()) await parts.regainLost()
    if (held.withheld > 0) await parts.retryWithheld()
  }
}
