/**
 * A busy machine must not refuse a merge. Where CI is set, every wait is three times as long, and bars of time are reported, not
 * enforced. Bars on events (lost, doubled, written, restarted) are enforced everywhere.
 */
import { eventually } from '../support/wait.ts'

export const lenient = Boolean(process.env['CI'])
const factor = lenient ? 3 : 1

export const until = async <T>(attempt: () => Promise<T>, timeoutMs: number, intervalMs = 300) =>
  await eventually(attempt, { timeoutMs: timeoutMs * factor, intervalMs })

/** As kubectl and helm take a timeout. */
export const patience = (seconds: number): string => `${seconds * factor}s`
