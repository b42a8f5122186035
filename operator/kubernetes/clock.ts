/** Time and chance, handed in from the edge, so that queue, reflector and elector run under test on a clock of the test's own. */
import { systemTimer, type Timer } from '../../process/timer.ts'

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
