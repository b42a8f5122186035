/**
 * Operations on pending entries: list them, take them over, keep them, hand them back.
 *
 * Taking over is two steps on purpose. Listing changes nothing; the claim, which raises the delivery count, comes only just
 * before an attempt. A batch claim at listing time let one entry that kills its process use up the deliveries of everything
 * claimed with it (90 of 100 innocent entries were dead-lettered).
 *
 * XCLAIM silently deletes the pending row of a trimmed entry, which is its last trace. So each script looks for the entry first, or
 * keeps the row that it read. If the entry is gone, claiming and handing back write a dead letter (`Trimmed`) from that row.
 * Renewing does so only where XCLAIM found the entry gone; else it leaves the row to the next settling or claim.
 */

import type { StreamPipelineError } from '../../api/errors.ts'
import { failureOn, type RedisConnection, refusalOn } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import type { FieldList } from '../reply/fieldlist.ts'
import { countDeliveries as callCountDeliveries, claimPending, handBack, renew } from '../scripts/generated.ts'
import { unwritable } from './settlement.ts'

/** An entry as delivered: id, flat list field, value, …, and how often it has been delivered, this time included. */
export interface Delivery {
  readonly id: string
  readonly fields: FieldList | readonly Buffer[]
  readonly deliveries: number
}

export interface PendingRow {
  readonly id: string
  readonly consumer: string
  readonly idleMs: number
  readonly deliveries: number
}

/** One page of pending entries from `start` (inclusive, or exclusive with a leading parenthesis), at least `minIdleMs` idle. */
export async function listPending(
  connection: RedisConnection,
  place: Pick<StreamPlace, 'stream' | 'group'>,
  page: { readonly start: string; readonly count: number; readonly minIdleMs?: number; readonly consumer?: string },
): Promise<readonly PendingRow[]> {
  const idle = page.minIdleMs === undefined ? [] : ['IDLE', page.minIdleMs]
  const consumer = page.consumer === undefined ? [] : [page.consumer]
  try {
    const reply = await connection.call(
      'XPENDING',
      [place.stream, place.group, ...idle, page.start, '+', page.count, ...consumer].map(String),
    )
    return (Array.isArray(reply) ? reply : []).map(pendingRow)
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

function pendingRow(row: unknown): PendingRow {
  const [id, consumer, idleMs, deliveries] = Array.isArray(row) ? row : []
  return { id: String(id), consumer: String(consumer), idleMs: Number(idleMs), deliveries: Number(deliveries) }
}

/** How often each entry was delivered; 0 for one that is not pending (any more). Throws catalogued errors. */
export async function countDeliveries(
  connection: RedisConnection,
  place: Pick<StreamPlace, 'stream' | 'group'>,
  ids: readonly string[],
): Promise<readonly number[]> {
  if (ids.length === 0) return []
  return (await callCountDeliveries(connection, { stream: place.stream }, { group: place.group, ids })).counts
}

interface Claimed {
  readonly claimed: readonly Delivery[]
  readonly trimmed: number
  /** Ids dealt with, from the first on; fewer than were given where they exceed the bound on bytes. */
  readonly seen: number
  /** Why a record of a trimmed entry could not be written; the entry stays pending. */
  readonly refusal?: StreamPipelineError
}

/**
 * Claims those of `ids` that are still idle; those that were trimmed become dead letters (`Trimmed`).
 * `counts` (default true): it raises the delivery count; not for what never reached its consumer, and so was never attempted.
 * `own` (default false): only what is still under this consumer's name; what a peer has claimed since it was listed stays there.
 * `maxBytes` (default none): claims entries only as long as together they are no larger.
 */
export async function claimEntries(
  connection: RedisConnection,
  place: StreamPlace,
  consumer: string,
  minIdleMs: number,
  ids: readonly string[],
  {
    counts = true,
    own = false,
    maxBytes = Number.MAX_SAFE_INTEGER,
  }: { readonly counts?: boolean; readonly own?: boolean; readonly maxBytes?: number } = {},
): Promise<Claimed> {
  const { stream, deadLetters, group, maxDeadLetters } = place
  const { trimmed, claimed, refusal, seen } = await claimPending(
    connection,
    { stream, deadLetters, stats: place.keys.stats },
    { group, consumer, minIdleMs, maxDeadLetters, counts, own, maxBytes, ids },
  )
  return { trimmed, claimed, seen, ...(refusal === '' ? {} : { refusal: unwritable(connection, place, refusal) }) }
}

/** Receives the number of trimmed entries that became dead letters, even if the work is then refused. */
type TrimmedListener = (count: number) => void

/** Resets the idle time of entries still held by `consumer`; the count stays, and what went to another owner stays there. */
export async function renewEntries(
  connection: RedisConnection,
  place: StreamPlace,
  consumer: string,
  ids: readonly string[],
  onTrimmed: TrimmedListener = ignore,
): Promise<number> {
  const { stream, deadLetters, group, maxDeadLetters, keys } = place
  let renewed = 0
  for (let at = 0; at < ids.length; ) {
    const part = await renew(
      connection,
      { stream, deadLetters, stats: keys.stats },
      { group, consumer, maxDeadLetters, ids: ids.slice(at) },
    )
    renewed += part.renewed
    if (part.trimmed > 0) onTrimmed(part.trimmed)
    if (part.stopped !== '') throw refusalOn(connection, part.stopped)
    at += Math.max(1, part.seen)
  }
  return renewed
}

/** Rows of one call of the script, which holds Redis for a few milliseconds. */
const handBackPage = 1_000

/**
 * Makes all entries that `consumer` still holds claimable at once, uncounts their deliveries, and nudges the others. A trimmed entry
 * becomes a dead letter, or stays pending while its record cannot be written.
 */
export async function handBackEntries(
  connection: RedisConnection,
  place: StreamPlace,
  consumer: string,
  idleMs: number,
  onTrimmed: TrimmedListener = ignore,
): Promise<number> {
  const { stream, deadLetters, group, maxDeadLetters, keys } = place
  let total = 0
  let start = '-'
  for (;;) {
    const { returned, trimmed, more, last, stopped } = await handBack(
      connection,
      { stream, nudge: keys.nudge, deadLetters, stats: keys.stats },
      { group, consumer, idleMs, start, maxDeadLetters, pageSize: handBackPage },
    )
    total += returned
    if (trimmed > 0) onTrimmed(trimmed)
    if (stopped !== '') throw refusalOn(connection, stopped)
    if (!more) return total
    start = `(${last}`
  }
}

/** The caller counts nothing. */
function ignore() {}
