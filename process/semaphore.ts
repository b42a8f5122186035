/** At most `limit` holders at once. The others wait in line; a place that is freed goes to the first of them. */
import type { Timer } from './timer.ts'

export interface Semaphore {
  /** Waits for a place. The function returned frees it, once. Undefined when the signal aborts first. */
  take(signal: AbortSignal): Promise<(() => void) | undefined>
  /** Resolves when every place is free. */
  idle(): Promise<void>
}

/** A bound on the wait, for holders that may hang: after it the first in line gets a place above the limit. */
interface LongestWait {
  readonly ms: number
  readonly timer: Timer
}

export function createSemaphore(limit: number, longestWait?: LongestWait): Semaphore {
  let used = 0
  const line = new Set<() => void>()
  const idlers: (() => void)[] = []

  function free(): void {
    used -= 1
    if (used < limit) {
      const [next] = line
      next?.()
    }
    if (used === 0) for (const resolve of idlers.splice(0)) resolve()
  }

  /** @returns whether it got a place; the place is counted before the promise resolves, so no other caller can take it meanwhile */
  const inLine = (signal: AbortSignal): Promise<boolean> =>
    new Promise((resolve) => {
      const leave = (entered: boolean) => {
        line.delete(enter)
        cancel?.()
        signal.removeEventListener('abort', giveUp)
        if (entered) used += 1
        resolve(entered)
      }
      const enter = () => leave(true)
      const giveUp = () => leave(false)
      const cancel = longestWait?.timer(longestWait.ms, enter)
      line.add(enter)
      signal.addEventListener('abort', giveUp, { once: true })
    })

  return {
    async take(signal) {
      if (signal.aborted) return undefined
      if (used < limit) used += 1
      else if (!(await inLine(signal))) return undefined
      let freed = false
      return () => {
        if (!freed) free()
        freed = true
      }
    },
    async idle() {
      if (used > 0) await new Promise<void>((resolve) => idlers.push(resolve))
    },
  }
}
