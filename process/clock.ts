/** Time and chance come in from the edge, so that loops, queues and elections run in tests on the test's own clock. */
import { systemTimer, type Timer } from './timer.ts'

export interface Clock {
  /** Milliseconds of a clock that never goes back; not wall-clock time. */
  now(): number
  /** Wall-clock time, for what people and other processes read. */
  wall(): Date
  /** 0 ≤ x < 1. */
  random(): number
  /** Calls once after that many milliseconds, unless cancelled by the function returned. */
  readonly after: Timer
}

export const systemClock: Clock = Object.freeze({
  now: () => performance.now(),
  wall: () => new Date(),
  random: () => Math.random(),
  after: systemTimer,
})
