/**
 * How many entries the group has not been given.
 *
 * XINFO GROUPS answers `lag`, but not always: an XDEL ahead of the cursor or a group made in mid-stream turns it null, and
 * entries trimmed unread stay counted in it (after XTRIM MAXLEN 1 it said 4 where 1 was left). So lag is believed only where
 * nothing contradicts it, and in this order:
 *
 * 1. no entry after the cursor: 0, whatever lag says;
 * 2. the stream's first entry is after the cursor: nothing that was read is left, so every entry is undelivered: XLEN;
 * 3. a lag between 1 and XLEN − 1 (at least the first entry was read): lag;
 * 4. otherwise entries are counted by XRANGE up to a cap of entries and bytes, and beyond it the rest is interpolated over
 *    the ids' milliseconds, never more than XLEN.
 */
import { compareIds, idMs } from './entryid.ts'

export interface StreamFacts {
  readonly length: number
  readonly entriesAdded: number
  readonly firstId?: string
  readonly lastGeneratedId: string
}

export interface GroupFacts {
  readonly lastDeliveredId: string
  /** Null where Redis does not know it. */
  readonly lag: number | null
}

export type Undelivered =
  | { readonly kind: 'Exact'; readonly count: number }
  /** Lag cannot be trusted and the entries have to be counted. */
  | { readonly kind: 'Uncounted' }

export function undeliveredOf(stream: StreamFacts, group: GroupFacts, firstUndeliveredId: string | undefined): Undelivered {
  if (firstUndeliveredId === undefined || stream.firstId === undefined) return { kind: 'Exact', count: 0 }
  if (compareIds(stream.firstId, group.lastDeliveredId) > 0) return { kind: 'Exact', count: stream.length }
  if (group.lag !== null && group.lag >= 1 && group.lag < stream.length) return { kind: 'Exact', count: group.lag }
  return { kind: 'Uncounted' }
}

export interface Counted {
  readonly entries: number
  readonly lastId: string
  /** True when the count reached the end of the stream. */
  readonly complete: boolean
}

/** The count, or what it extrapolates to when the cap stopped it. */
export function extrapolate(counted: Counted, firstUndeliveredId: string, stream: StreamFacts): number {
  if (counted.complete) return counted.entries
  const spanMs = Math.max(1, idMs(counted.lastId) - idMs(firstUndeliveredId))
  const wholeMs = Math.max(spanMs, idMs(stream.lastGeneratedId) - idMs(firstUndeliveredId))
  const estimate = Math.round((counted.entries * wholeMs) / spanMs)
  return Math.max(counted.entries, Math.min(estimate, stream.length))
}
