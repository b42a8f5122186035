/**
 * The memory that idempotency marks take in the queue's Redis. Each forwarded key is one mark for `idempotency.window`. At a steady
 * rate of entries, their number is the rate times the window, at any speed of the workers.
 */
import { formatDuration } from './duration.ts'

/**
 * One mark: key, entry id, expiry, and what Redis keeps around them. `npm run bench -- redis` measures it; test/scenarios/redis/markmemory.test.ts holds
 * it on a real server. Names that are ten bytes longer take ten bytes more.
 */
export const markBytes = 213

interface MarksHeld {
  readonly keys: number
  readonly bytes: number
}

/** At a steady rate, once a window has passed. Duplicates count as if each had a key of its own. */
export function marksAt(perSecond: number, windowMs: number): MarksHeld {
  const keys = Math.round((Math.max(0, perSecond) * windowMs) / 1_000)
  return { keys, bytes: keys * markBytes }
}

/** `a mark takes 213 bytes of the queue's Redis for 24h (idempotency.window): 17.6Mi at one entry a second, 20.6Gi at 1200`. */
export function describeMarks(windowMs: number): string {
  const at = (perSecond: number) => roundedBytes(marksAt(perSecond, windowMs).bytes)
  return `a mark takes ${markBytes} bytes of the queue's Redis for ${formatDuration(windowMs)} (idempotency.window): ${at(1)} at one entry a second, ${at(1_200)} at 1200`
}

const units = ['', 'Ki', 'Mi', 'Gi', 'Ti'] as const

/** Three digits that count, in the largest unit that leaves at least one before the point: `17.6Mi`. */
export function roundedBytes(bytes: number): string {
  let [value, at] = [Math.max(0, bytes), 0]
  for (; value >= 1_000 && at < units.length - 1; at++) value /= 1_024
  const digits = value >= 100 || at === 0 ? 0 : value >= 10 ? 1 : 2
  return `${Number(value.toFixed(digits))}${units[at]}`
}
