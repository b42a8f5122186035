/**
 * What one may do with entries that are pending: list them, take them over, keep them, hand them back.
 *
 * Taking over is two steps on purpose. Listing changes nothing; the claim, which raises the delivery count, comes only just
 * before an attempt. A batch claim at listing time let one entry that kills its process use up the deliveries of everything
 * claimed with it (90 of 100 innocent entries were dead-lettered).
 *
 * XCLAIM deletes the pending row of an entry that was trimmed, silently: the claim script looks first and leaves a dead letter.
 */
import type { RedisConnection } from '../connection.ts'
import { failureOn } from '../connection.ts'
import { defineScript } from '../script.ts'
import { buryFunction, type StreamPlace } from './settlement.ts'

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

const claim = defineScript(
  'claim',
  `${buryFunction}
local stream, dead, stats = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, minIdle, maxDead = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local claimed, trimmed = {}, 0
for i = 5, #ARGV do
  local id = ARGV[i]
  if #redis.call('XRANGE', stream, id, id) == 0 then
    local written = bury(stream, dead, group, maxDead, id, 'Trimmed', 'trimmed from the stream while pending', '', 0, tonumber(minIdle), 0)
    if type(written) == 'table' then return written end
    if written == 1 then
      redis.call('XACK', stream, group, id)
      redis.call('HINCRBY', stats, 'trimmedPending', 1)
      trimmed = trimmed + 1
    end
  else
    local entry = redis.call('XCLAIM', stream, group, consumer, minIdle, id)[1]
    if entry then
      claimed[#claimed + 1] = {entry[1], entry[2], redis.call('XPENDING', stream, group, id, id, 1)[1][4]}
    end
  end
end
return {trimmed, claimed}`,
)

/** Claims, raising the delivery count, those of `ids` that are still idle; buries those that were trimmed (`Trimmed`). */
export async function claimEntries(
  connection: RedisConnection,
  place: StreamPlace,
  consumer: string,
  minIdleMs: number,
  ids: readonly string[],
): Promise<{ readonly claimed: readonly Delivery[]; readonly trimmed: number }> {
  const keys = [place.stream, place.deadLetters, place.keys.stats]
  const reply = await claim.runBuffer(connection, keys, [place.group, consumer, minIdleMs, place.maxDeadLetters, ...ids])
  const [trimmed, claimed] = Array.isArray(reply) ? reply : []
  return { trimmed: Number(trimmed), claimed: (Array.isArray(claimed) ? claimed : []).map(delivery) }
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
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) == 1 then
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
  `local rows = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[4], '+', 1000, ARGV[2])
local returned = 0
for _, row in ipairs(rows) do
  local count = row[4] > 0 and row[4] - 1 or 0
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, row[1], 'IDLE', ARGV[3], 'RETRYCOUNT', count, 'JUSTID')
  returned = returned + 1
end
if returned > 0 then redis.call('INCR', KEYS[2]) end
return {returned, #rows > 0 and rows[#rows][1] or ''}`,
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
    const reply = await handBack.run(connection, [place.stream, place.keys.nudge], [place.group, consumer, idleMs, start])
    const [returned, last] = Array.isArray(reply) ? reply : []
    total += Number(returned)
    if (Number(returned) < 1_000) return total
    start = `(${String(last)}`
  }
}
