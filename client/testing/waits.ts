/** Waits for requests of a test pipeline. They also end when the time that the test fakes is up. */
import { failure } from '../../api/errors.ts'
import type { RequestStatus } from '../../redis/status/summary.ts'
import { outcomeOf, type WaitOutcome } from '../verdicts.ts'
import type { WaitOptions } from '../waiting.ts'
import { waitTime } from '../waittime.ts'

export interface Waits {
  /** Throws the signal's reason, and Closed when they end. */
  wait(status: () => RequestStatus, options: WaitOptions): Promise<WaitOutcome>
  /** Ends the waits for what has ended, and those whose time is up. */
  settle(): void
  /** When the time of the next one is up. */
  nextDue(): number | undefined
  end(): void
}

interface Wait {
  readonly dueAt: number
  settle(): void
  end(): void
}

/** @param usesTimers whether timers follow the pipeline's clock. A timer then ends a wait, even if the test calls nothing more */
export function createWaits(now: () => number, usesTimers: boolean): Waits {
  const waits = new Set<Wait>()

  function wait(status: () => RequestStatus, { timeoutMs, signal }: WaitOptions): Promise<WaitOutcome> {
    const mostMs = waitTime(timeoutMs)
    signal?.throwIfAborted()
    return new Promise((resolve, reject) => {
      const leave = (settle: () => void) => {
        waits.delete(own)
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        settle()
      }
      const abort = () => leave(() => reject(signal?.reason))
      const last = (): WaitOutcome => {
        const found = status()
        return outcomeOf(found) ?? { outcome: 'timeout', status: found }
      }
      const own: Wait = {
        dueAt: now() + mostMs,
        settle() {
          const outcome = own.dueAt <= now() ? last() : outcomeOf(status())
          if (outcome !== undefined) leave(() => resolve(outcome))
        },
        end: () => leave(() => reject(failure('Closed', { what: 'dispatcher' }))),
      }
      // Timers and the clock may differ by a millisecond, or by more where a test fakes one of them. The timer decides.
      const timer = usesTimers ? setTimeout(() => leave(() => resolve(last())), mostMs) : undefined
      signal?.addEventListener('abort', abort, { once: true })
      waits.add(own)
      own.settle()
    })
  }

  return {
    wait: async (status, options) => await wait(status, options),
    settle() {
      for (const each of [...waits]) each.settle()
    },
    nextDue: () => [...waits].reduce<number | undefined>((least, { dueAt }) => Math.min(least ?? dueAt, dueAt), undefined),
    end() {
      for (const each of [...waits]) each.end()
    },
  }
}
