/**
 * What the operator looks at: one script for the stream, one for the queue, so that everything in an answer is of one instant and a look
 * costs two commands. Only what is counted comes back, not the entries themselves, of which the server's own answers hold some.
 *
 * MULTI would do too. But ioredis defines an accessor on each of its pipelines, which gives each a hidden class of its own; hidden
 * classes lie in V8's old generation, and keep the pipeline with its commands and replies until the next full collection. With a thousand
 * pipelines looked at every five seconds 7 of 24 MB allocated a second grew old that way, and a full collection came every 1.5 seconds.
 *
 * XPENDING is never sent with IDLE, which scans the whole pending list (7 ms at 100,000).
 */

import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { defineScript } from '../scripts/script.ts'
import { ledgerFunctions } from './ledger.ts'

/** Entries after the cursor of which ids are read; fewer where entries are large. */
const longestPage = 64
const pageBytes = 65_536
export const pendingPageSize = 100

const ledgerFields = ['base', 'settled', 'trimmedPending', 'lost', 'lostBefore'] as const

/**
 * KEYS: stream, registry, stats, dead letters. ARGV: group, longest page, its bytes, size of a page of the pending list, the ledger's
 * fields. What does not exist ends the answer: of a stream that is no stream its type is the last item, without the group nothing is told
 * of entries. Stream and group answer only the fields that are wanted; false becomes null.
 */
const stream = defineScript(
  'lookAtStream',
  `${ledgerFunctions}
local function size(entry)
  local bytes = 0
  if entry then for _, text in ipairs(entry[2]) do bytes = bytes + #text end end
  return bytes
end
local ledger = {}
for i = 5, #ARGV do ledger[#ledger + 1] = ARGV[i] end
local found = {
  redis.call('TIME'),
  redis.call('HGETALL', KEYS[2]),
  redis.call('HMGET', KEYS[3], unpack(ledger)),
  redis.call('XLEN', KEYS[4]),
  redis.call('TYPE', KEYS[1]).ok
}
if found[5] ~= 'stream' then return found end
local about = fields(redis.call('XINFO', 'STREAM', KEYS[1]))
local first, last = about['first-entry'], about['last-entry']
found[6] = {about['length'], about['entries-added'] or false, about['last-generated-id'], first and first[1]}
local group = groupOf(KEYS[1], ARGV[1])
if not group then return found end
local cursor = group['last-delivered-id']
local page = math.max(1, math.min(tonumber(ARGV[2]), math.floor(tonumber(ARGV[3]) / math.max(1, size(first), size(last)))))
local ids = {}
for i, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. cursor, '+', 'COUNT', page)) do ids[i] = entry[1] end
found[7] = {cursor, group['lag'] or false}
found[8] = {page, ids}
found[9] = redis.call('XPENDING', KEYS[1], ARGV[1])
found[10] = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[4])
found[11] = redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
return found`,
)

/** Its answer as it comes; `scaling/replies.ts` reads it. Throws catalogued errors; WRONGTYPE shows as RedisCommandFailed. */
export async function lookAtStream(connection: RedisConnection, place: StreamPlace): Promise<unknown> {
  return await stream.run(
    connection,
    [place.stream, place.keys.consumers, place.keys.stats, place.deadLetters],
    [place.group, longestPage, pageBytes, pendingPageSize, ...ledgerFields],
  )
}

/**
 * KEYS: meta, wait, paused, prioritized. A meta hash of another type is told by who checks the keys, and hides no number here.
 */
const queue = defineScript(
  'lookAtQueue',
  `local paused = redis.pcall('HGET', KEYS[1], 'paused')
local waiting = redis.call('LLEN', KEYS[2]) + redis.call('LLEN', KEYS[3]) + redis.call('ZCARD', KEYS[4])
return {type(paused) == 'string' and 1 or 0, waiting}`,
)

export interface QueueLook {
  /** BullMQ's waiting jobs: the list, the paused list, and the prioritised set. */
  readonly queueWaiting: number
  /** BullMQ marks it in the queue's meta hash. */
  readonly queuePaused: boolean
}

/** Throws catalogued errors; WRONGTYPE shows as RedisCommandFailed. */
export async function lookAtQueue(connection: RedisConnection, prefix: string, name: string): Promise<QueueLook> {
  const keys = ['meta', 'wait', 'paused', 'prioritized'].map((part) => `${prefix}:${name}:${part}`)
  const reply = await queue.run(connection, keys, [])
  const [paused, waiting] = Array.isArray(reply) ? reply : []
  return { queueWaiting: Number(waiting ?? 0), queuePaused: paused === 1 }
}
