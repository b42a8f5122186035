/**
 * The ledger: how many entries were lost unread. Redis counts every entry ever added. Each of them should be in one of four states:
 * settled, pending, undelivered, or trimmed while pending, which makes it a dead letter. The scripts that settle entries sum the
 * returns of XACK. Entries that are in none of these states are missing:
 *
 *     missing = entries-added − base − settled − trimmedPending − pending − undelivered
 *
 * The obvious formula over `entries-read` was NULL in a quarter of random histories, and sometimes wrong. This one was right in all
 * of 60,000. Undelivered is known without counting if it is zero, or if the stream's first entry lies past the group's cursor. Only
 * cuts that pass the cursor lose entries unread. After such a cut the first entry lies past the cursor, so undelivered is known.
 * The sum is formed only when undelivered is known.
 *
 * A newly missing entry was either cut unread (lost), or taken: acknowledged by another program, forgotten by XGROUP DELCONSUMER,
 * skipped by XGROUP SETID. Taken entries are *unaccounted* while they are in the stream. No more entries can have been cut than
 * have left the stream. Redis counts those that left, too (entries-added − length). So, since the sum before:
 *
 * 1. Nothing left the stream, or only entries at or below the cursor: all were taken. A trim at the head raises the id of the first
 *    entry, and XDEL raises max-deleted-entry-id. So these two ids are proof; retention counts what it trims itself.
 * 2. The cursor has not moved: nothing was read, so the missing undelivered ones were cut. Exact.
 * 3. Nothing at or below the cursor is in the stream any more: they count as cut.
 * 4. Otherwise counts cannot tell: the entries are *undecided*. They went between the two observations. Once the last of them has left the
 *    stream they count as lost.
 *
 * Taken and undecided entries are added to `base`, so that later sums stay exact. A sum that falls (SETID backward, a restored
 * stream) is rebased and counted in `rebases`; what was lost before stays. Unaccounted entries end by leaving the stream, or by
 * being undelivered again. XSETID with a larger ENTRIESADDED looks like unread entries: they are undecided, and finally count as
 * lost.
 */

import { redisWord } from '../../api/quoting.ts'
import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { auditLedger as callAuditLedger } from '../scripts/generated.ts'

interface Ledger {
  /** Entries cut unread so far; absent while only counting would show it. */
  readonly lost?: number
  /** Entries that other hands took and that are still in the stream, at most. */
  readonly unaccounted: number
  /** Cut unread or taken by other hands. */
  readonly undecided: number
  /** Id before the first of those two; empty without any. */
  readonly from: string
  /** They went after this: milliseconds since the epoch, server time; 0 without any. */
  readonly since: number
}

/** Brings the ledger up to date. Throws catalogued errors. */
export async function readLedger(connection: RedisConnection, place: StreamPlace): Promise<Ledger> {
  const keys = { stream: place.stream, stats: place.keys.stats }
  const { lost, ...missing } = await callAuditLedger(connection, keys, { group: place.group })
  return { ...missing, ...(lost === undefined ? {} : { lost }) }
}

/** Entries lost unread so far, or undefined while only counting would show it. Throws catalogued errors. */
export async function auditLedger(connection: RedisConnection, place: StreamPlace): Promise<number | undefined> {
  return (await readLedger(connection, place)).lost
}

/**
 * The command that has unaccounted entries delivered again. Settled ones after that id come again with them; they end as duplicates
 * while their marks live (idempotency.window). XCLAIM FORCE would spare them, but needs the ids, which no counter knows.
 */
export function redeliverCommand(stream: string, group: string, from: string): string {
  return ['XGROUP', 'SETID', ...[stream, group, from].map(redisWord)].join(' ')
}
