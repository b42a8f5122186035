/**
 * What one may do with entries that are pending: list them, take them over, keep them, hand them back.
 *
 * Taking over is two steps on purpose. Listing changes nothing; the claim, which raises the delivery count, comes only just
 * before an attempt. A batch claim at listing time let one entry that kills its process use up the deliveries of everything
 * claimed with it (90 of 100 innocent entries were dead-lettered).
 *
 * XCLAIM deletes the pending row of an entry that was trimmed, silently, and so loses the last trace of it: every script here
 * looks first. Claiming and handing back leave a dead letter (`Trimmed`); renewing leaves the row to whoever settles or claims.
 */

import type { StreamPipelineError } from '../../api/errors.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { defineScript } from '../scripts/script.ts'
import { buryFunction, unwritable } from './settlement.ts'

/** An entry as delivered: id, flat list field, value, …, and how often it has been delivered, this time included. */
export interface Delivery {
  readonly id: string
  readonly fields: readonly Buffer[]
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

const count = defineScript(
  'countDeliveries',
  `local counts = {}
for i = 2, #ARGV do
  local row = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  counts[i - 1] = row and math.max(1, row[4]) or 0
end
return counts`,
)

/** How often each entry was delivered; 0 for one that is not pending (any more). Throws catalogued errors. */
export async function countDeliveries(
  connection: RedisConnection,
  place: Pick<StreamPlace, 'stream' | 'group'>,
  ids: readonly string[],
): Promise<readonly number[]> {
  if (ids.length === 0) return []
  const reply = await count.run(connection, [place.stream], [place.group, ...ids])
  return (Array.isArray(reply) ? reply : []).map(Number)
}

/** Lua shared with reaping: writes the record of a trimmed entry and lets go of it. Returns what bury returns. */
export const buryTrimmedFunction = `${buryFunction}
local function buryTrimmed(stream, dead, stats, group, maxDead, id, minIdle)
  local written = bury(stream, dead, group, maxDead, id, 'Trimmed', 'trimmed from the stream while pending', '', 0, minIdle, 0)
  if written == 1 then
    redis.call('XACK', stream, group, id)
    redis.call('HINCRBY', stats, 'trimmedPending', 1)
  end
  return written
end
`

/**
 * A record that cannot be written stops nothing: what has been claimed by then has its count raised and must be attempted. Claimed is
 * no more than fits the bound on bytes, one entry at least; the reply ends with how many of the ids were dealt with.
 */
const claim = defineScript(
  'claim',
  `${buryTrimmedFunction}
local stream, dead, stats = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, minIdle, maxDead, counts, own = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1', ARGV[6] == '1'
local maxBytes, bytes = tonumber(ARGV[7]), 0
-- Without memory XCLAIM would work, and count a delivery for an attempt that cannot succeed; this is refused then.
redis.call('HINCRBY', stats, 'settled', 0)
local claimed, trimmed, refusal, seen = {}, 0, '', 0
for i = 8, #ARGV do
  local id = ARGV[i]
  local found = redis.call('XRANGE', stream, id, id)[1]
  local size = 0
  for _, part in ipairs(found and found[2] or {}) do size = size + #part end
  if #claimed > 0 and bytes + size > maxBytes then break end
  seen = seen + 1
  if not found then
    local written = buryTrimmed(stream, dead, stats, group, maxDead, id, tonumber(minIdle))
    if type(written) == 'table' then refusal = written.err else trimmed = trimmed + written end
  else
    local before = redis.call('XPENDING', stream, group, id, id, 1)[1]
    if before and (not own or before[2] == consumer) then
      local count = before[4] + (counts and 1 or 0)
      local entry = redis.call('XCLAIM', stream, group, consumer, minIdle, id, 'RETRYCOUNT', count)[1]
      if entry then
        claimed[#claimed + 1] = {entry[1], entry[2], count}
        bytes = bytes + size
      end
    end
  end
end
return {trimmed, claimed, refusal, seen}`,
)

export interface Claimed {
  readonly claimed: readonly Delivery[]
  readonly trimmed: number
  /** Ids dealt with, from the first on; fewer than were given where they exceed the bound on bytes. */
  readonly seen: number
  /** Why a record of a trimmed entry could not be written; the entry stays pending. */
  readonly refusal?: StreamPipelineError
}

/**
 * Claims those of `ids` that are still idle; buries those that were trimmed (`Trimmed`).
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
  const keys = [place.stream, place.deadLetters, place.keys.stats]
  const reply = await claim.runBuffer(connection, keys, [
    ...[place.group, consumer, minIdleMs, place.maxDeadLetters, counts ? 1 : 0, own ? 1 : 0, maxBytes],
    ...ids,
  ])
  const [trimmed, claimed, refusal, seen] = Array.isArray(reply) ? reply : []
  const told = String(refusal ?? '')
  return {
    trimmed: Number(trimmed),
    claimed: (Array.isArray(claimed) ? claimed : []).map(delivery),
    seen: Number(seen),
    ...(told === '' ? {} : { refusal: unwritable(connection, place, told) }),
  }
}

function delivery(row: unknown): Delivery {
  const [id, fields, deliveries] = Array.isArray(row) ? row : []
  return { id: String(id), fields: Array.isArray(fields) ? (fields as Buffer[]) : [], deliveries: Number(deliveries) }
}

const renew = defineScript(
  'renew',
  `local renewed = 0
for i = 3, #ARGV do
  local id = ARGV[i]
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) == 1 and #redis.call('XRANGE', KEYS[1], id, id) == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
    renewed = renewed + 1
  end
end
return renewed`,
)

/** Resets the idle time of entries still held by `consumer`; the count stays, and what went to another owner stays there. */
export async function renewEntries(
  connection: RedisConnection,
  place: StreamPlace,
  consumer: string,
  ids: readonly string[],
): Promise<number> {
  return Number(await renew.run(connection, [place.stream], [place.group, consumer, ...ids]))
}

const handBack = defineScript(
  'handBack',
  `${buryTrimmedFunction}
local stream, nudge, dead, stats = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, idle, start, maxDead = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local rows = redis.call('XPENDING', stream, group, start, '+', 1000, consumer)
local returned = 0
for _, row in ipairs(rows) do
  if #redis.call('XRANGE', stream, row[1], row[1]) == 0 then
    buryTrimmed(stream, dead, stats, group, maxDead, row[1], 0)
  else
    local count = row[4] > 0 and row[4] - 1 or 0
    redis.call('XCLAIM', stream, group, consumer, 0, row[1], 'IDLE', idle, 'RETRYCOUNT', count, 'JUSTID')
    returned = returned + 1
  end
end
if returned > 0 then redis.call('INCR', nudge) end
return {returned, #rows, #rows > 0 and rows[#rows][1] or ''}`,
)

/** Makes everything `consumer` still holds claimable at once, each delivery taken back, and nudges the others. */
export async function handBackEntries(
  connection: RedisConnection,
  place: StreamPlace,
  consumer: string,
  idleMs: number,
): Promise<number> {
  let total = 0
  let start = '-'
  for (;;) {
    const keys = [place.stream, place.keys.nudge, place.deadLetters, place.keys.stats]
    const reply = await handBack.run(connection, keys, [place.group, consumer, idleMs, start, place.maxDeadLetters])
    const [returned, seen, last] = Array.isArray(reply) ? reply : []
    total += Number(returned)
    if (Number(seen) < 1_000) return total
    start = `(${String(last)}`
  }
}
