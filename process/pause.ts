/** Waits that an AbortSignal ends. They never throw. */
import { systemTimer, type Timer } from './timer.ts'

/** Waits `ms`, or until the signal aborts. A caller that must know which of the two came asks the signal. */
export function pause(ms: number, signal: AbortSignal, timer: Timer = systemTimer): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const finish = () => {
      cancel()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const cancel = timer(ms, finish)
    signal.addEventListener('abort', finish, { once: true })
  })
}

export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
