/** The watching loop: while Backpressured it counts the queue's jobs each second, until there is room again. */
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import type { Lifecycle } from '../lifecycle.ts'

const everyMs = 1_000

interface WatchingParts {
  readonly lifecycle: Lifecycle
  readonly clock: Pick<Clock, 'after'>
  readonly observeQueue: () => Promise<void>
}

export async function watching({ lifecycle, clock, observeQueue }: WatchingParts): Promise<void> {
  for (;;) {
    const state = await lifecycle.until(({ kind }) => kind === 'Backpressured' || kind === 'Draining' || kind === 'Stopped')
    if (state.kind !== 'Backpressured') return
    await pause(everyMs, lifecycle.draining, clock.after)
    if (!lifecycle.draining.aborted) await observeQueue()
  }
}
