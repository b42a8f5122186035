/**
 * The nudge, as a consumer hears it: a counter in Redis, raised by a process that made entries claimable and wants them claimed
 * now. A nudge during a round is kept for the next round, which then starts from the beginning: its entries may lie before the
 * cursor.
 */
import { pause } from '../process/pause.ts'
import { systemTimer, type Timer } from '../process/timer.ts'

/** How often it is asked for, beside what heartbeats bring: released entries should be in work again within two seconds. */
export const listenIntervalMs = 500

export interface Nudges {
  /** The counter as just read. The first value only says where it stands. */
  heard(counter: string): void
  /** Waits for a nudge that was not taken yet, for `ms`, or until the signal; takes it. @returns whether there was one */
  next(ms: number, signal: AbortSignal): Promise<boolean>
}

export function createNudges(timer: Timer = systemTimer): Nudges {
  let known: string | undefined
  let untaken = false
  let wake = () => {}
  return {
    heard(counter) {
      if (known !== undefined && counter !== known) {
        untaken = true
        wake()
      }
      known = counter
    },
    async next(ms, signal) {
      if (!untaken) {
        const waking = new AbortController()
        wake = () => waking.abort()
        await pause(ms, AbortSignal.any([signal, waking.signal]), timer)
      }
      const nudged = untaken
      untaken = false
      return nudged
    },
  }
}
