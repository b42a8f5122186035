--[[
  account(stream, groupName, stats) brings the ledger up to date and returns the entries lost so far and nil, or nil while they
  cannot be known without counting. redis/stream/ledger.ts explains the sum.

  WRITES
    1 HSET stats base, lost (or lostBefore)   a refusal leaves the ledger as it was; the next account repeats the same step
    2 HINCRBY stats rebases                   a refusal leaves one rebase uncounted
]]
-- @include group
local function number(stats, field) return tonumber(redis.call('HGET', stats, field) or '0') end
local function undelivered(stream, info, cursor)
  local first = redis.call('XRANGE', stream, '(' .. cursor, '+', 'COUNT', 1)[1]
  if not first then return 0 end
  if info['first-entry'] and info['first-entry'][1] == first[1] then return info.length end
  return nil
end
local function account(stream, groupName, stats)
  local info, group = fields(redis.call('XINFO', 'STREAM', stream)), groupOf(stream, groupName)
  if not group then return nil end
  local waiting = undelivered(stream, info, group['last-delivered-id'])
  if not waiting then return nil end
  local known = number(stats, 'settled') + number(stats, 'trimmedPending') + group.pending + waiting
  local base, earlier = redis.call('HGET', stats, 'base'), number(stats, 'lostBefore')
  if not base then
    redis.call('HSET', stats, 'base', info['entries-added'] - known, 'lost', earlier)
    return earlier
  end
  local lost = info['entries-added'] - base - known
  local told = number(stats, 'lost')
  if lost + earlier < told then
    redis.call('HSET', stats, 'base', info['entries-added'] - known, 'lostBefore', told)
    redis.call('HINCRBY', stats, 'rebases', 1)
    return told
  end
  if lost + earlier > told then redis.call('HSET', stats, 'lost', lost + earlier) end
  return lost + earlier
end
