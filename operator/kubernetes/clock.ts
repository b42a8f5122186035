/** Time and chance, handed in from the edge, so that queue, reflector and elector run under test on a clock of the test's own. */

export interface Clock {
  /** Milliseconds of a clock that never goes back; not wall-clock time. */
  now(): number
  /** Wall-clock time, for what people and other processes read. */
  wall(): Date
  /** 0 ≤ x < 1. */
  random(): number
  /** Calls once after that many milliseconds, unless cancelled by the function returned. */
  after(ms: number, call: () => void): () => void
}

export const systemClock: Clock = Object.freeze({
  now: () => performance.now(),
  wall: () => new Date(),
  random: () => Math.random(),
  after: (ms: number, call: () => void) => {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
})

/** Resolves after that time, or at once (without throwing) when the signal aborts: callers look at the signal themselves. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
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
    const cancel = clock.after(ms, finish)
    signal.addEventListener('abort', finish, { once: true })
  })
}

/** Exponential with full jitter on the upper half: attempt 1 waits between base/2 and base. */
export function backoffMs(attempt: number, baseMs: number, maxMs: number, random: number): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(30, Math.max(0, attempt - 1)))
  return Math.round(ceiling / 2 + (ceiling / 2) * random)
}
