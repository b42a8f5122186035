/**
 * Looks at one Redis take turns: a thousand that begin together would outlast the time limit of their own commands, and each would
 * report a Redis that cannot be reached. Whoever has waited too long goes in unasked, since a Redis that hangs should be told of soon.
 */
import type { Clock } from '../kubernetes/clock.ts'

export interface Turns {
  /** Resolves when it is one's turn, or when the signal aborts, to what must be called at its end. */
  enter(signal: AbortSignal): Promise<() => void>
}

export function createTurns(clock: Clock, atOnce: number, longestWaitMs: number): Turns {
  let inside = 0
  const line = new Set<() => void>()

  function leave(): void {
    inside -= 1
    if (inside >= atOnce) return
    const [next] = line
    next?.()
  }

  return {
    async enter(signal) {
      if (inside >= atOnce && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const go = () => {
            line.delete(go)
            cancel()
            signal.removeEventListener('abort', go)
            inside += 1
            resolve()
          }
          const cancel = clock.after(longestWaitMs, go)
          line.add(go)
          signal.addEventListener('abort', go, { once: true })
        })
      } else inside += 1
      let left = false
      return () => {
        if (!left) leave()
        left = true
      }
    },
  }
}
