--[[
  Everything that the scaler and the status need of a stream, of one instant. Only counts come back, not the entries.
  XPENDING is never sent with IDLE, which scans the whole pending list (7 ms at 100,000).

  KEYS
    stream        stream
    registry      hash      name → owner and life of each consumer
    stats         hash
    deadLetters   stream

  ARGV
    group         text
    longestPage   integer   ids read after the group's cursor; fewer where entries are large
    pageBytes     integer
    pendingPage   integer   rows of the pending list
    ledger        text[]    fields of the ledger

  REPLY raw       scaling/replies.ts reads it. What does not exist ends it: the type where the stream is none, the stream without the group.

  WRITES
    none
]]
-- @include group
-- @include entryIds
local function size(entry)
  local bytes = 0
  if entry then for _, text in ipairs(entry[2]) do bytes = bytes + #text end end
  return bytes
end
local found = {
  redis.call('TIME'),
  redis.call('HGETALL', registry),
  redis.call('HMGET', stats, unpack(ledger)),
  redis.call('XLEN', deadLetters),
  redis.call('TYPE', stream).ok
}
if found[5] ~= 'stream' then return found end
local about = fields(redis.call('XINFO', 'STREAM', stream))
local first, last = about['first-entry'], about['last-entry']
found[6] = {about['length'], about['entries-added'] or false, about['last-generated-id'], first and first[1]}
local info = groupOf(stream, group)
if not info then return found end
local cursor = info['last-delivered-id']
local page = math.max(1, math.min(longestPage, math.floor(pageBytes / math.max(1, size(first), size(last)))))
local ids = {}
for i, entry in ipairs(redis.call('XRANGE', stream, '(' .. cursor, '+', 'COUNT', page)) do ids[i] = entry[1] end
found[7] = {cursor, info['lag'] or false}
found[8] = {page, ids}
found[9] = redis.call('XPENDING', stream, group)
found[10] = redis.call('XPENDING', stream, group, '-', '+', pendingPage)
found[11] = redis.call('XINFO', 'CONSUMERS', stream, group)
-- What retention said last of an entry that it waits for, if that is still so.
local since, kind, id, holder = string.match(redis.call('HGET', stats, 'pin') or '', '^(%d+) (%a+) (%S+) (.*)$')
local held = holder and groupOf(stream, holder)
if held and first and not before(id, first[1]) then
  local unread = before(held['last-delivered-id'], id)
  local pending = kind == 'pending' and #redis.call('XPENDING', stream, holder, id, id, 1) == 1
  if pending or kind == 'unread' and unread then found[12] = {holder, kind, id, since} end
end
return found
