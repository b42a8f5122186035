/** Keys that are to be added later, each at most once: the soonest time wins. Failures in a row set the wait before the next retry. */
import type { Clock } from '../../process/clock.ts'

interface DelayedAdds<P> {
  /** Calls `add` after `ms`, unless an earlier call is pending. */
  add(key: string, ms: number, priority: P): void
  /** Counts a failure. Returns the wait in milliseconds that it asks for. */
  failed(key: string): number
  /** The key succeeded. */
  succeeded(key: string): void
  clear(): void
}

/** client-go's item exponential failure rate limiter: 5 ms, doubled, at most 1,000 s. */
export function retryDelayMs(failures: number): number {
  return Math.min(1_000_000, 5 * 2 ** Math.min(30, failures))
}

export function createDelayedAdds<P>(
  clock: Pick<Clock, 'now' | 'after'>,
  add: (key: string, priority: P) => void,
): DelayedAdds<P> {
  const delayed = new Map<string, { readonly dueMs: number; readonly cancel: () => void }>()
  const failures = new Map<string, number>()
  return {
    add(key, ms, priority) {
      const dueMs = clock.now() + ms
      const pending = delayed.get(key)
      if (pending !== undefined && pending.dueMs <= dueMs) return
      pending?.cancel()
      const cancel = clock.after(ms, () => {
        delayed.delete(key)
        add(key, priority)
      })
      delayed.set(key, { dueMs, cancel })
    },
    failed(key) {
      const before = failures.get(key) ?? 0
      failures.set(key, before + 1)
      return retryDelayMs(before)
    },
    succeeded: (key) => void failures.delete(key),
    clear() {
      for (const { cancel } of delayed.values()) cancel()
      delayed.clear()
      failures.clear()
    },
  }
}
