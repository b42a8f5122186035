/**
 * The circuit breaker of the quarantine. An entry delivered three times is suspected of being poison, and no longer counts as work.
 * If a dependency of all entries fails, all of them end up quarantined, and the backlog would look empty. So the circuit opens if
 * nothing has succeeded for half a minute though consumers are there, and a tenth or more of the pending entries is quarantined
 * (ten entries at least):
 *
 * - Suspected: nothing succeeds. Nothing else follows from that yet.
 * - Open: replicas are held, neither more (they would fail, too) nor fewer (the work is still there).
 * - Readmitting: something succeeded. Entries quarantined by then count as work while they are cleared, for ten minutes at most.
 *
 * While anything succeeds, which poison does not prevent, quarantined entries change nothing.
 */
import type { Capacity } from './capacity.ts'
import { readyOf, type Sample } from './sample.ts'

export type Outage =
  | { readonly kind: 'Suspected'; readonly sinceMs: number }
  | { readonly kind: 'Open'; readonly sinceMs: number; readonly entries: number }
  | { readonly kind: 'Readmitting'; readonly entries: number; readonly untilMs: number }

const suspectedForMs = 30_000
const leastEntries = 10
const leastShare = 0.1
export const longestReadmissionMs = 600_000

/** The suspicion after this sample; undefined: none. */
export function learnOutage(outage: Outage | undefined, capacity: Capacity, sample: Sample): Outage | undefined {
  const { atMs, quarantined } = sample
  const succeeded = hasSucceeded(capacity, sample)
  switch (outage?.kind) {
    case undefined:
      return succeeded === false && quarantined > 0 ? { kind: 'Suspected', sinceMs: atMs } : undefined
    case 'Suspected': {
      if (succeeded !== false || quarantined === 0) return succeeded === true || quarantined === 0 ? undefined : outage
      const isOutage = quarantined >= leastEntries && quarantined >= leastShare * sample.pending
      return isOutage && atMs - outage.sinceMs >= suspectedForMs ? { kind: 'Open', sinceMs: atMs, entries: quarantined } : outage
    }
    case 'Open':
      if (quarantined === 0) return undefined
      if (succeeded !== true) return { ...outage, entries: Math.max(outage.entries, quarantined) }
      return { kind: 'Readmitting', entries: quarantined, untilMs: atMs + longestReadmissionMs }
    case 'Readmitting':
      return quarantined === 0 || atMs >= outage.untilMs
        ? undefined
        : { ...outage, entries: Math.min(outage.entries, quarantined) }
    default:
      return outage satisfies never
  }
}

/** Quarantined entries that count as work again. */
export const readmittedOf = (outage: Outage | undefined, sample: Sample): number =>
  outage?.kind === 'Readmitting' ? Math.min(outage.entries, sample.quarantined) : 0

/** Whether any consumer forwarded an entry since the sample before; undefined where none could have. */
function hasSucceeded({ marks }: Capacity, sample: Sample): boolean | undefined {
  let compared = false
  for (const { heartbeat } of sample.consumers) {
    const before = heartbeat === undefined ? undefined : marks[heartbeat.uid]
    if (heartbeat === undefined || before?.succeeded === undefined || heartbeat.at <= before.atMs) continue
    if (heartbeat.forwarded + heartbeat.duplicates > before.succeeded) return true
    compared = true
  }
  return compared && readyOf(sample) > 0 ? false : undefined
}
