/** Simulated time: timers fire in order, and after each all work that it set off comes to rest before the next. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../../process/clock.ts'

export interface Time {
  readonly nowMs: number
  /** Calls once after so many milliseconds, unless cancelled by the function returned. */
  at(ms: number, call: () => void): () => void
  runUntil(ms: number): Promise<void>
  /** The clock of a process; its timers fire while `alive` returns true. */
  clock(alive: () => boolean, random: () => number): Clock
}

export const epochMs = Date.UTC(2026, 10, 22, 12)

interface Timer {
  readonly dueMs: number
  call: (() => void) | undefined
}

export function createTime(): Time {
  let nowMs = 0
  const timers: Timer[] = []

  function at(ms: number, call: () => void): () => void {
    const timer: Timer = { dueMs: nowMs + Math.max(0, ms), call }
    // Timers of one time fire in the order in which they were set.
    let low = 0
    for (let high = timers.length; low < high; ) {
      const middle = (low + high) >> 1
      if ((timers[middle]?.dueMs ?? 0) <= timer.dueMs) low = middle + 1
      else high = middle
    }
    timers.splice(low, 0, timer)
    return () => {
      timer.call = undefined
    }
  }

  return {
    get nowMs() {
      return nowMs
    },
    at,
    async runUntil(endMs) {
      await rest()
      for (;;) {
        const [next] = timers
        if (next === undefined || next.dueMs > endMs) break
        timers.shift()
        if (next.call === undefined) continue
        nowMs = next.dueMs
        next.call()
        await rest()
      }
      nowMs = endMs
    },
    clock: (alive, random) => ({
      now: () => nowMs,
      wall: () => new Date(epochMs + nowMs),
      random,
      after: (ms, call) => at(ms, () => (alive() ? call() : undefined)),
    }),
  }
}

/** The second turn is for workers that yield to the event loop themselves. */
async function rest(): Promise<void> {
  await turn()
  await turn()
}
