/** A clock that only its test moves. Timers due fire in order. */
import type { Clock } from '../../process/clock.ts'

export interface TestClock extends Clock {
  /** Moves on, firing what falls due on the way. */
  advance(ms: number): void
  /** Timers that wait. */
  readonly waiting: number
  /** When the first of them is due; undefined: none waits. */
  readonly nextMs: number | undefined
}

export function createTestClock(random: () => number = () => 0.5): TestClock {
  let nowMs = 0
  let nextId = 0
  const timers = new Map<number, { readonly dueMs: number; readonly call: () => void }>()
  return {
    now: () => nowMs,
    wall: () => new Date(Date.UTC(2026, 10, 22) + nowMs),
    random,
    after(ms, call) {
      const id = nextId++
      timers.set(id, { dueMs: nowMs + ms, call })
      return () => void timers.delete(id)
    },
    advance(ms) {
      const endMs = nowMs + ms
      for (;;) {
        const [next] = [...timers].sort(([idA, a], [idB, b]) => a.dueMs - b.dueMs || idA - idB)
        if (next === undefined || next[1].dueMs > endMs) break
        timers.delete(next[0])
        nowMs = next[1].dueMs
        next[1].call()
      }
      nowMs = endMs
    },
    get waiting() {
      return timers.size
    },
    get nextMs() {
      return timers.size === 0 ? undefined : Math.min(...[...timers.values()].map(({ dueMs }) => dueMs))
    },
  }
}
