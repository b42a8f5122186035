/**
 * Retention, one script. What every group has settled goes once it is old enough; what any group has not read, or has pending,
 * stays, unless the spec ignores that group by name. `maxEntries` is the only thing that may cut further, and the ledger counts
 * what it cut unread. One script, because a group made, an entry read or claimed between looking and trimming would lose data.
 *
 * Trimming is approximate and limited (`~`, LIMIT 10000: about half a millisecond; an exact trim of a million entries held
 * Redis for 34 ms), so a round may leave more than the bound for the next one.
 */

import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { retain } from '../scripts/generated.ts'

export interface Retention {
  readonly settledForMs: number
  /** Absent: no hard bound. */
  readonly maxEntries?: number
  readonly ignoredGroups: readonly string[]
}

export interface RetentionReport {
  /** Settled by every group and old enough. */
  readonly settled: number
  /** Over `maxEntries`, read or not. */
  readonly cut: number
}

/** Trims once and brings the ledger up to date. Throws catalogued errors. */
export async function retainEntries(
  connection: RedisConnection,
  place: StreamPlace,
  retention: Retention,
): Promise<RetentionReport> {
  const { settledForMs, maxEntries = 0, ignoredGroups } = retention
  const keys = { stream: place.stream, stats: place.keys.stats }
  return await retain(connection, keys, { group: place.group, settledForMs, maxEntries, ignored: ignoredGroups })
}
