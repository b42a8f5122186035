/**
 * The pending list in three parts: healthy entries that a consumer works on, orphans without one, and the quarantine (delivered three
 * times or more). Only the first pages of the list are read; since ids are times, the oldest entries come first, and ages
 * concern only those. Whole counts come from the summary, which Redis keeps by consumer.
 */
import { compareIds } from './entryid.ts'

/** Deliveries from which an entry is suspected of being poison (SQS stops counting such messages in its age metric, too). */
export const quarantineDeliveries = 3

export interface PendingEntry {
  readonly id: string
  readonly consumer: string
  readonly idleMs: number
  readonly deliveries: number
}

interface PendingContext {
  /** All pending entries by consumer, from the summary. */
  readonly totals: ReadonlyMap<string, number>
  /** Consumers that are gone, or silent for longer than minIdle: everything they hold is orphaned. */
  readonly absent: ReadonlySet<string>
  readonly minIdleMs: number
  /** First entry of the stream; pending entries before it were trimmed and have no age. */
  readonly firstId?: string
}

interface PendingFacts {
  readonly quarantined: number
  readonly orphaned: number
  /** Oldest listed entry that is healthy and still in the stream. */
  readonly oldestHealthy?: PendingEntry
}

/** @param listed the oldest pending entries, in order */
export function classifyPending(listed: readonly PendingEntry[], context: PendingContext): PendingFacts {
  let quarantined = 0
  let abandoned = 0
  let oldestHealthy: PendingEntry | undefined
  const orphans = new Map([...context.totals].filter(([consumer]) => context.absent.has(consumer)))
  for (const entry of listed) {
    const ownerAbsent = context.absent.has(entry.consumer)
    if (entry.deliveries >= quarantineDeliveries) {
      quarantined++
      if (ownerAbsent) orphans.set(entry.consumer, (orphans.get(entry.consumer) ?? 0) - 1)
      continue
    }
    if (!ownerAbsent && entry.idleMs > context.minIdleMs) abandoned++
    const exists = context.firstId !== undefined && compareIds(entry.id, context.firstId) >= 0
    if (oldestHealthy === undefined && exists) oldestHealthy = entry
  }
  let orphaned = abandoned
  for (const count of orphans.values()) orphaned += Math.max(0, count)
  return { quarantined, orphaned, ...(oldestHealthy === undefined ? {} : { oldestHealthy }) }
}

/** Whether another page is needed: nothing healthy was seen yet, so quarantined entries may hide an old healthy one. */
export function hidesHealthy(page: readonly PendingEntry[], pageSize: number): boolean {
  return page.length === pageSize && page.every((entry) => entry.deliveries >= quarantineDeliveries)
}
