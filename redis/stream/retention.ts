/**
 * Retention, one script. An entry that every group has settled goes once it is old enough. An entry that any group has not read, or
 * has pending, stays, unless the spec ignores that group by name. `maxEntries` is the only thing that may cut further, and the
 * ledger counts what it cut unread. It is one script: with two steps, a group that is made, reads or claims
 * in between would lose entries.
 *
 * A call is bounded by entries and by bytes. Redis takes up to 50 µs to free an entry of 256 KiB, and a hundredth of that for one
 * of 200 bytes. A round is as many calls as it takes until nothing is left; other commands find room between them. Another consumer
 * that comes later finds nothing left to do.
 *
 * An entry's age is its id's. Ids that are no times (before 2010, more than a day ahead) have no age. A round
 * notes that such an entry is settled, and `settledFor` later a round may trim it. So it stays for `settledFor` at least, and for twice as
 * long at most.
 *
 * Trimming is approximate: it frees whole nodes of the stream, and leaves the rest of one. Where that is more than 128 entries
 * (large nodes, by stream-node-max-entries or -bytes) they go exactly, 512 a call. Deleted entries take memory until their node is
 * gone. Every look at the stream's first entry walks over them: 5 ms in a node of 100,000 entries.
 */

import { asFailure, StreamPipelineError } from '../../api/errors.ts'
import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { type RetainReply, retain } from '../scripts/generated.ts'

export interface Retention {
  readonly settledForMs: number
  /** Absent: no hard bound. */
  readonly maxEntries?: number
  readonly ignoredGroups: readonly string[]
}

/** An entry that keeps what is old enough from being trimmed. */
export interface Pin {
  readonly group: string
  readonly kind: 'pending' | 'unread'
  readonly id: string
  /** For how long this entry has been doing so, as far as rounds have seen. */
  readonly forMs: number
}

export interface RetentionReport {
  /** Settled by every group and old enough. */
  readonly settled: number
  /** Over `maxEntries`, read or not. */
  readonly cut: number
  readonly pin?: Pin
  /** Mean entries of one node of the stream. */
  readonly nodeEntries: number
  /** As the ledger says. */
  readonly unaccounted: number
  readonly undecided: number
  /** Id before the first of those; empty without any. */
  readonly missingFrom: string
  /** Why the round ended early. The numbers are of the calls before. */
  readonly failure?: StreamPipelineError
}

/** The most that one call may trim: about a millisecond of Redis, and less where entries are small. */
const mostEntries = 1_000
const mostBytes = 2 * 2 ** 20

/** Trims all there is to trim and brings the ledger up to date; an abort ends it after the call under way. Throws
 * catalogued errors where nothing was done. */
export async function retainEntries(
  connection: RedisConnection,
  place: StreamPlace,
  retention: Retention,
  signal?: AbortSignal,
): Promise<RetentionReport> {
  const { settledForMs, maxEntries = 0, ignoredGroups: ignored } = retention
  const keys = { stream: place.stream, stats: place.keys.stats }
  const { group } = place
  let [settled, cut] = [0, 0]
  let last: RetainReply | undefined
  for (;;) {
    const call = await retain(connection, keys, { group, settledForMs, maxEntries, mostEntries, mostBytes, ignored }).catch(
      asFailure,
    )
    if (call instanceof StreamPipelineError) {
      if (last === undefined) throw call
      return { ...reportOf(last, settled, cut), failure: call }
    }
    last = call
    settled += call.settled
    cut += call.cut
    if (!call.more || call.settled + call.cut === 0 || signal?.aborted) return reportOf(call, settled, cut)
  }
}

function reportOf(call: RetainReply, settled: number, cut: number): RetentionReport {
  const { pinGroup, pinKind, pinId: id, pinnedMs: forMs, nodeEntries, unaccounted, undecided, from: missingFrom } = call
  const kind = pinKind === 'pending' ? pinKind : 'unread'
  const pin = pinKind === '' ? {} : { pin: { group: pinGroup, kind, id, forMs } as const }
  return { settled, cut, nodeEntries, unaccounted, undecided, missingFrom, ...pin }
}
