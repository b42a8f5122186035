/**
 * How a run is asked to end: the time given is over, or a signal. The first SIGINT or SIGTERM asks for a drain, the second
 * for an end at once, the third ends the process as it is; a terminal that goes away (SIGHUP) counts as the first.
 */

export interface Stopping {
  /** Aborted by the first signal. */
  readonly drain: AbortSignal
  /** Aborted by the second. */
  readonly force: AbortSignal
  /** Stops listening. */
  release(): void
}

/** What the shell gives a process that SIGINT ended. */
export const forcedExit = 130

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export function listenForSignals(onSignal: (count: number) => void): Stopping {
  const drain = new AbortController()
  const force = new AbortController()
  let count = 0
  const heard = () => {
    count++
    if (count > 2) process.exit(forcedExit)
    onSignal(count)
    if (count === 1) drain.abort()
    else force.abort()
  }
  for (const signal of signals) process.on(signal, heard)
  return {
    drain: drain.signal,
    force: force.signal,
    release() {
      for (const signal of signals) process.off(signal, heard)
    },
  }
}
