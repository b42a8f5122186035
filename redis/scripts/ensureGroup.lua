--[[
  Makes the consumer group where it is missing. redis/stream/group.ts says where it starts.

  KEYS
    stream    stream
    stats     hash     floor, ledger, the name of the group that existed, and when it and the ledger were made

  ARGV
    group     text
    start     text     where a group that never existed begins: an id, or $
    existed   flag     the caller has seen the group

  REPLY
    outcome   text     created, recreated or exists
    start     text     where the group was made; of no meaning with exists

  WRITES
    1 XGROUP CREATE              a refusal leaves nothing
    2 HSET stats group           a refusal leaves a group that would start anew, were it deleted
    3 HSET stats born, began     a refusal leaves a group that looks like the one before
    4 HDEL, HSET stats           a refusal leaves the ledger of the group before; it is rebased
]]
-- @include ledger
local remembered = redis.call('HGET', stats, 'group')
local known = remembered or existed
if known then
  start = '0-0'
  local floor = redis.call('HGET', stats, 'floor')
  if floor and redis.call('EXISTS', stream) == 1 then
    local last = fields(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
    if not before(last, floor) then start = floor end
  end
end
local made = redis.pcall('XGROUP', 'CREATE', stream, group, start, 'MKSTREAM')
local outcome = known and 'recreated' or 'created'
if refused(made) then
  if string.sub(made.err, 1, 9) ~= 'BUSYGROUP' then return made end
  outcome = 'exists'
end
if not remembered then redis.call('HSET', stats, 'group', group) end
-- A group that an earlier version made has no time: it gets one now.
local now, held = serverNow(), redis.call('HMGET', stats, 'born', 'began')
if not held[1] then redis.call('HSET', stats, 'born', digits(now)) end
if outcome ~= 'exists' or not held[2] then
  -- This time also identifies the group, so one made again within a millisecond gets the next. A time far ahead is no clock's.
  local ahead = (tonumber(held[2]) or 0) - now
  if ahead >= 0 and ahead < 1000 then now = now + ahead + 1 end
  redis.call('HSET', stats, 'began', digits(now))
end
if outcome ~= 'exists' then
  redis.call('HDEL', stats, 'base', 'seen')
  account(stream, group, stats)
end
return {outcome, start}
