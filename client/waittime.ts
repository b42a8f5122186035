/** How long a wait for a request may take. */
import { failure } from '../api/errors.ts'

/** A longer timer of Node fires at once. */
const longestMs = 2 ** 31 - 1

/** @param timeoutMs default 60,000. Throws InvalidOption. */
export function waitTime(timeoutMs = 60_000): number {
  if (timeoutMs >= 0 && timeoutMs <= longestMs) return timeoutMs
  throw failure('InvalidOption', { option: 'timeoutMs', detail: `milliseconds from 0 to ${longestMs}, not ${timeoutMs}` })
}
