/** Waits `ms`, or until the signal aborts. It never throws: a caller that must know which of the two came asks the signal. */
import { systemTimer, type Timer } from './timer.ts'

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
