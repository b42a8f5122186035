/**
 * The consumer group, made where it is missing. A group that never existed starts where the spec says. One that did exist and
 * is gone (FLUSHALL, DEL, a restore from an older backup) must never start at the end, which would lose entries, nor at 0 with
 * a retained history, which would run it all again: it starts at the floor that the heartbeats keep, below which everything
 * was settled. The ledger begins anew with a group. A floor beyond what the stream ever held belongs to another life of the stream, and 0 is right.
 */
import type { RedisConnection } from '../connect/connection.ts'
import type { KeySpace } from '../keys.ts'
import { defineScript } from '../scripts/script.ts'
import { ledgerFunctions } from './ledger.ts'

const ensure = defineScript(
  'ensureGroup',
  `${ledgerFunctions}
local remembered = redis.call('HGET', KEYS[2], 'group')
local known = remembered or ARGV[3] == '1'
local start = ARGV[2]
if known then
  start = '0-0'
  local floor = redis.call('HGET', KEYS[2], 'floor')
  if floor and redis.call('EXISTS', KEYS[1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' and not before(info[i + 1], floor) then start = floor end
    end
  end
end
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], start, 'MKSTREAM')
local outcome = known and 'recreated' or 'created'
if made.err then
  if string.sub(made.err, 1, 9) ~= 'BUSYGROUP' then return made end
  outcome = 'exists'
end
if not remembered then redis.call('HSET', KEYS[2], 'group', ARGV[1]) end
if outcome ~= 'exists' then
  redis.call('HDEL', KEYS[2], 'base')
  redis.call('HSET', KEYS[2], 'lostBefore', redis.call('HGET', KEYS[2], 'lost') or '0')
  account(KEYS[1], ARGV[1], KEYS[2])
end
return {outcome, start}`,
)

export type GroupOutcome = { readonly kind: 'created' | 'recreated' | 'exists'; readonly start: string }

/**
 * Creates stream and group where they are missing. Throws catalogued errors; WRONGTYPE shows as RedisCommandFailed.
 * @param existed the caller has seen the group: FLUSHALL takes the stats that say so along with it
 */
export async function ensureGroup(
  connection: RedisConnection,
  keys: KeySpace,
  source: { readonly stream: string; readonly group: string; readonly startFrom: 'Beginning' | 'End' },
  existed = false,
): Promise<GroupOutcome> {
  const start = source.startFrom === 'Beginning' ? '0-0' : '$'
  const reply = await ensure.run(connection, [source.stream, keys.stats], [source.group, start, existed ? 1 : 0])
  const [kind, from] = Array.isArray(reply) ? reply : []
  return { kind: kind === 'exists' || kind === 'recreated' ? kind : 'created', start: String(from) }
}
