/** Exponential back-off: how long to wait before attempt after attempt. */
export interface Backoff {
  /** The ceiling of the first wait; each further attempt doubles it. */
  readonly baseMs: number
  readonly maxMs: number
}

/**
 * Whole milliseconds. Attempts count from 1.
 *
 * @param random in [0, 1): spreads the wait over the upper half of its ceiling. Without it the wait is the ceiling.
 */
export function backoffMs(attempt: number, { baseMs, maxMs }: Backoff, random = 1): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.max(0, attempt - 1))
  return Math.round((ceiling / 2) * (1 + random))
}
