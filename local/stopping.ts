/**
 * Requests to end a run: its time is over, or a signal. The first SIGINT or SIGTERM requests a drain, the second an end at once.
 * The third ends the process as it is. A closed terminal (SIGHUP) counts as the first.
 */

export interface Stopping {
  /** Aborted by the first signal. */
  readonly drain: AbortSignal
  /** Aborted by the second. */
  readonly force: AbortSignal
  /**
   * The run is over. Signals change nothing any more, but still reach this code: by default they would replace the exit code of a process
   * that is about to end. The third of all still ends it.
   */
  release(): void
}

/** The exit code that a shell reports for SIGINT. */
export const forcedExit = 130

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export function listenForSignals(onSignal: (count: number) => void): Stopping {
  const drain = new AbortController()
  const force = new AbortController()
  let count = 0
  let isOver = false
  const heard = () => {
    count++
    if (count > 2) process.exit(forcedExit)
    if (isOver) return
    onSignal(count)
    if (count === 1) drain.abort()
    else force.abort()
  }
  for (const signal of signals) process.on(signal, heard)
  return {
    drain: drain.signal,
    force: force.signal,
    release() {
      isOver = true
    },
  }
}
