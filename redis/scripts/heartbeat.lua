--[[
  One heartbeat: writes how the consumer is, keeps its name in the registry and the group's floor, and brings back what it needs to know.

  KEYS
    heartbeat   string    of this consumer; expires
    registry    hash      name → owner and life of each consumer
    stats       hash      the floor
    nudge       string
    stream      stream

  ARGV
    group       text
    consumer    text
    uid         text
    body        text      JSON object, to which the server's time is added
    ttlMs       integer

  REPLY
    nudge       text
    held        integer   entries that are pending under this name
    now         integer   server time, ms

  WRITES
    1 HSET stats floor       a refusal leaves the floor before, which is lower
    2 HSET registry          a refusal leaves what the registry held
    3 SET heartbeat          a refusal leaves the heartbeat before, which expires
]]
-- @include group
-- @include clock
local now = serverNow()
local summary = redis.call('XPENDING', stream, group)
local held = 0
for _, row in ipairs(summary[4] or {}) do if row[1] == consumer then held = tonumber(row[2]) end end
local floor = nil
if summary[1] > 0 then
  local ms, seq = string.match(summary[2], '^(%d+)-(%d+)$')
  -- Lua's numbers are exact to 15 digits. If the second part is longer, the floor is an id of the millisecond before. If the first
  -- part is longer too, the last floor stays.
  if #seq <= 15 and seq ~= '0' then floor = ms .. '-' .. digits(seq - 1)
  elseif #ms <= 15 and ms ~= '0' then floor = digits(ms - 1) .. '-18446744073709551615' end
else
  local info = groupOf(stream, group)
  floor = info and info['last-delivered-id']
end
if floor then redis.call('HSET', stats, 'floor', floor) end
redis.call('HSET', registry, consumer, uid)
redis.call('SET', heartbeat, '{"at":' .. digits(now) .. ',' .. string.sub(body, 2), 'PX', ttlMs)
return {redis.call('GET', nudge) or '0', held, digits(now)}
