/**
 * A merge is not refused because the machine did much else at the same time: where CI is set, everything is waited for three times as
 * long, and bars of time are told and not enforced. What must not happen at all (lost, doubled, written, restarted) is enforced everywhere.
 */
import { eventually } from '../support/wait.ts'

export const lenient = Boolean(process.env['CI'])
const factor = lenient ? 3 : 1

export const until = async <T>(attempt: () => Promise<T>, timeoutMs: number, intervalMs = 300) =>
  await eventually(attempt, { timeoutMs: timeoutMs * factor, intervalMs })

/** As kubectl and helm take a timeout. */
export const patience = (seconds: number): string => `${seconds * factor}s`
