/**
 * Who consumes: each consumer's heartbeat, an expiring key that says how it is, and the registry, a hash that says whose the
 * name is. The registry outlives the process: by it the operator tells its own vanished consumers from strangers, whose names
 * and entries it must never touch.
 *
 * The same script keeps the group's floor (see group.ts) and brings back what the consumer needs to hear: the nudge, how many
 * entries the server thinks it holds, and the server's time.
 */

import { failureOn, type RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { defineScript } from '../scripts/script.ts'

/** How long a heartbeat lives: seven missed beats. Its absence alone is not death: under OOM nothing can be written. */
export const heartbeatTtlMs = 15_000
export const heartbeatIntervalMs = 2_000

export interface Heartbeat {
  readonly uid: string
  /** Milliseconds since the epoch, server time. */
  readonly at: number
  readonly state: string
  readonly inFlight: number
  /** Mean time from reading to settling an entry's batch, divided by its entries; 0 before the first. */
  readonly serviceMs: number
  readonly path: string
  readonly forwarded: number
  readonly duplicates: number
  readonly dead: number
  readonly reclaimed: number
}

const beat = defineScript(
  'heartbeat',
  `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local summary = redis.call('XPENDING', KEYS[5], ARGV[1])
local held = 0
for _, row in ipairs(summary[4] or {}) do if row[1] == ARGV[2] then held = tonumber(row[2]) end end
local floor = nil
if summary[1] > 0 then
  local ms, seq = string.match(summary[2], '^(%d+)-(%d+)$')
  -- Lua's numbers are exact to 15 digits: below a longer one a lower floor is taken, or the last one stays.
  if #seq <= 15 and seq ~= '0' then floor = ms .. '-' .. string.format('%.0f', seq - 1)
  elseif #ms <= 15 and ms ~= '0' then floor = string.format('%.0f', ms - 1) .. '-18446744073709551615' end
else
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[5])) do
    local fields = {}
    for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
    if fields.name == ARGV[1] then floor = fields['last-delivered-id'] end
  end
end
if floor then redis.call('HSET', KEYS[3], 'floor', floor) end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('SET', KEYS[1], '{"at":' .. string.format('%.0f', now) .. ',' .. string.sub(ARGV[4], 2), 'PX', ARGV[5])
return {redis.call('GET', KEYS[4]) or '0', held, string.format('%.0f', now)}`,
)

export interface HeartbeatReply {
  /** Changes when somebody released entries that should be claimed now. */
  readonly nudge: string
  /** Pending entries the server counts for this consumer. */
  readonly held: number
  /** Server time, milliseconds since the epoch. */
  readonly now: number
}

/** Writes one heartbeat. Throws catalogued errors; NOGROUP when the group is gone. */
export async function sendHeartbeat(
  connection: RedisConnection,
  place: StreamPlace,
  consumer: string,
  heartbeat: Omit<Heartbeat, 'at'>,
): Promise<HeartbeatReply> {
  const { keys } = place
  const reply = await beat.run(
    connection,
    [keys.consumer(consumer), keys.consumers, keys.stats, keys.nudge, place.stream],
    [place.group, consumer, heartbeat.uid, JSON.stringify(heartbeat), heartbeatTtlMs],
  )
  const [nudge, held, now] = Array.isArray(reply) ? reply : []
  return { nudge: String(nudge), held: Number(held), now: Number(now) }
}

/** The nudge alone. Throws catalogued errors. */
export async function readNudge(connection: RedisConnection, { keys }: Pick<StreamPlace, 'keys'>): Promise<string> {
  try {
    return (await connection.get(keys.nudge)) ?? '0'
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}

/** Reads a heartbeat back; undefined for text this version does not understand. */
export function parseHeartbeat(text: string | null): Heartbeat | undefined {
  if (text === null) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Written by something else: for the reader the consumer then has no heartbeat.
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const field = (name: string): unknown => Reflect.get(value, name)
  const number = (name: string) => (typeof field(name) === 'number' ? Number(field(name)) : 0)
  const text_ = (name: string) => (typeof field(name) === 'string' ? String(field(name)) : '')
  return {
    uid: text_('uid'),
    at: number('at'),
    state: text_('state'),
    inFlight: number('inFlight'),
    serviceMs: number('serviceMs'),
    path: text_('path'),
    forwarded: number('forwarded'),
    duplicates: number('duplicates'),
    dead: number('dead'),
    reclaimed: number('reclaimed'),
  }
}

const retire = defineScript(
  'retire',
  `redis.call('DEL', KEYS[2])
local rows = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if rows.err or #rows > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1`,
)

/** Takes the consumer's name out of group and registry, if it holds nothing; DELCONSUMER would drop what it holds. */
export async function retireConsumer(connection: RedisConnection, place: StreamPlace, consumer: string): Promise<boolean> {
  const { keys } = place
  const keysTouched = [place.stream, keys.consumer(consumer), keys.consumers]
  return (await retire.run(connection, keysTouched, [place.group, consumer])) === 1
}
