/**
 * The ledger: how many entries were lost unread, exactly. Redis counts every entry ever added; every entry of the group is
 * later settled (XACK's own returns are summed in the same scripts), dead-lettered as trimmed while pending, pending, or
 * undelivered. What is missing from that sum was cut before anybody read it:
 *
 *     lost = entries-added − base − settled − trimmedPending − pending − undelivered
 *
 * The formula over `entries-read` that comes to mind was NULL in a quarter of random histories and sometimes wrong; this one
 * was right in all of 60,000. Undelivered is known without counting when nothing is, or when the stream's first entry lies past
 * the group's cursor, and entries are lost unread only by cuts that pass the cursor: so the sum is formed just then.
 *
 * `base` makes the formula true when the ledger begins, and again after what it cannot see: XGROUP SETID, XSETID, a consumer
 * deleted with pending entries, entries acknowledged by strangers. Such a step shows as a sum below zero, or as a cursor that
 * jumped; it is then rebased, counted in `rebases`, and what was lost before stays told.
 */

import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { auditLedger as callAuditLedger } from '../scripts/generated.ts'

/** Entries lost unread so far, or undefined while it cannot be told without counting. Throws catalogued errors. */
export async function auditLedger(connection: RedisConnection, place: StreamPlace): Promise<number | undefined> {
  return (await callAuditLedger(connection, { stream: place.stream, stats: place.keys.stats }, { group: place.group })).lost
}
