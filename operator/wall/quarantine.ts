/**
 * The pause before a pipeline that ended a process is tried again: 5 s, then twice as long each time, up to 5 min. A pipeline without
 * such an end for ten minutes starts again at 5 s.
 */
import { type Backoff, backoffMs } from '../../process/backoff.ts'
import type { Clock } from '../../process/clock.ts'

const pauses: Backoff = { baseMs: 5_000, maxMs: 300_000 }
const forgivenAfterMs = 600_000

interface Quarantine {
  /** @param onRelease called when the pipeline may be tried again */
  put(key: string, onRelease: () => void): void
  /** Whether the pipeline waits. */
  holds(key: string): boolean
  /** Ends the pause: the pipeline is tried again now. */
  forgo(key: string): void
  forget(key: string): void
  /** Ends all pauses without a release. */
  close(): void
}

interface Case {
  times: number
  atMs: number
  /** Absent: the pause is over, on probation. */
  cancel?: (() => void) | undefined
}

export function createQuarantine(clock: Clock): Quarantine {
  const cases = new Map<string, Case>()
  return {
    put(key, onRelease) {
      const before = cases.get(key)
      before?.cancel?.()
      const now = clock.now()
      const isOld = before === undefined || now - before.atMs > forgivenAfterMs
      const fresh: Case = { times: isOld ? 1 : before.times + 1, atMs: now }
      const waitMs = backoffMs(fresh.times, pauses)
      fresh.cancel = clock.after(waitMs, () => {
        fresh.cancel = undefined
        fresh.atMs = clock.now()
        onRelease()
      })
      cases.set(key, fresh)
    },
    forgo(key) {
      const held = cases.get(key)
      held?.cancel?.()
      if (held !== undefined) held.cancel = undefined
    },
    holds: (key) => cases.get(key)?.cancel !== undefined,
    forget(key) {
      cases.get(key)?.cancel?.()
      cases.delete(key)
    },
    close() {
      for (const { cancel } of cases.values()) cancel?.()
      cases.clear()
    },
  }
}
