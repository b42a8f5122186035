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
import { defineScript } from '../scripts/script.ts'
import { ledgerFunctions } from './ledger.ts'

const trim = defineScript(
  'retain',
  `${ledgerFunctions}
local stream, stats = KEYS[1], KEYS[2]
local settledFor, maxEntries = tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('EXISTS', stream) == 0 then return {0, 0} end
account(stream, ARGV[1], stats)
local ignored = {}
for i = 4, #ARGV do ignored[ARGV[i]] = true end
local time = redis.call('TIME')
local bound = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - settledFor) .. '-0'
local groups = 0
for _, reply in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local group = fields(reply)
  if not ignored[group.name] then
    groups = groups + 1
    if group.pending > 0 then
      local lowest = redis.call('XPENDING', stream, group.name)[2]
      if before(lowest, bound) then bound = lowest end
    end
    local unread = redis.call('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
    if unread and before(unread[1], bound) then bound = unread[1] end
  end
end
local settled, cut = 0, 0
if groups > 0 then settled = redis.call('XTRIM', stream, 'MINID', '~', bound, 'LIMIT', 10000) end
if maxEntries > 0 and redis.call('XLEN', stream) > maxEntries then
  cut = redis.call('XTRIM', stream, 'MAXLEN', '~', maxEntries, 'LIMIT', 10000)
end
if settled + cut > 0 then account(stream, ARGV[1], stats) end
return {settled, cut}`,
)

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
  const args = [place.group, retention.settledForMs, retention.maxEntries ?? 0, ...retention.ignoredGroups]
  const reply = await trim.run(connection, [place.stream, place.keys.stats], args)
  const [settled, cut] = Array.isArray(reply) ? reply : []
  return { settled: Number(settled), cut: Number(cut) }
}
