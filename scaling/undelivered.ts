/**
 * How many entries the group has not been given.
 *
 * XINFO GROUPS answers `lag`, but not always. An XDEL ahead of the cursor, or a group made in mid-stream, turns it null. Entries
 * trimmed unread stay counted in it for ever. The ledger (redis/stream/ledger.ts) knows better, unless strangers acknowledge
 * entries of the group. Both err upwards only. So, in this order:
 *
 * 1. no entry after the cursor: 0, whatever the counters say;
 * 2. a page read after the cursor came back short: its length;
 * 3. the stream's first entry is after the cursor: nothing that was read is left, so every entry is undelivered: XLEN;
 * 4. lag, or the ledger where it says less, provided it can be true: at least a page, at most XLEN − 1 (the first entry was
 *    read). Where lag is null, entries were deleted in mid-stream, which the ledger notices only later: then the ledger counts for nothing;
 * 5. otherwise entries are counted by XRANGE up to a cap of entries and bytes, and beyond it the rest is interpolated over
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

/** Ids read after the cursor, at most `limit` of them. */
export interface FirstPage {
  readonly ids: readonly string[]
  readonly limit: number
}

/** @returns the count, or undefined when the entries have to be counted */
export function undeliveredOf(
  stream: StreamFacts,
  group: GroupFacts,
  page: FirstPage,
  ledger: number | undefined,
): number | undefined {
  if (page.ids.length < page.limit) return page.ids.length
  if (stream.firstId !== undefined && compareIds(stream.firstId, group.lastDeliveredId) > 0) return stream.length
  if (group.lag === null) return undefined
  const possible = [group.lag, ledger ?? group.lag].filter((count) => count >= page.limit && count < stream.length)
  return possible.length === 0 ? undefined : Math.min(...possible)
}

export interface LedgerFacts {
  readonly base: number
  readonly settled: number
  readonly trimmedPending: number
  readonly lost: number
  readonly lostBefore: number
  /** Absent where nothing is. */
  readonly missing?: Missing
}

/** Entries that went another way than through us, as the ledger counts them (redis/stream/ledger.ts). */
export interface Missing {
  /** Taken by others and still in the stream, at most. */
  readonly unaccounted: number
  /** Trimmed unread or taken by others: counts do not show which. */
  readonly undecided: number
  /** Id before the first of them. */
  readonly from: string
  /** They went after this, by the server's clock. */
  readonly sinceMs: number
}

/** The part of the ledger's sum that undelivered entries make up; undefined while there is no ledger. */
export function undeliveredByLedger(ledger: LedgerFacts | undefined, entriesAdded: number, pending: number): number | undefined {
  if (ledger === undefined) return undefined
  const { base, settled, trimmedPending, lost, lostBefore } = ledger
  return entriesAdded - base - settled - trimmedPending - pending - (lost - lostBefore)
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
