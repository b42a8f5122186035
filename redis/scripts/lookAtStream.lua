--[[
  Everything that the scaler and the status need of a stream, at one instant. The script returns counts, ids and names; it leaves out the
  fields of entries. The number of consumers is bounded: those that hold entries come first, then those that asked
  last. Any program that may write can invent any number.
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
    mostConsumers integer   of the group, of its pending list and of the registry
    mostText      integer   characters of a name or a uid; a longer one is not ours
    ledger        text[]    fields of the ledger

  REPLY raw       scaling/replies.ts reads it. It ends early: after the type if the key is no stream, after the stream if the group is missing.

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
local function capped(rows)
  for i = #rows, mostConsumers + 1, -1 do rows[i] = nil end
  return rows
end
-- The consumers named first, then other registered ones.
local function registered(names)
  local flat, uids, kept = redis.call('HGETALL', registry), {}, {}
  for i = 1, #flat, 2 do
    if #flat[i] <= mostText and #flat[i + 1] <= mostText then uids[flat[i]] = flat[i + 1] end
  end
  for _, name in ipairs(names) do
    if uids[name] then
      kept[#kept + 1], kept[#kept + 2] = name, uids[name]
      uids[name] = nil
    end
  end
  for i = 1, #flat, 2 do
    if #kept >= 2 * mostConsumers then break end
    if uids[flat[i]] then kept[#kept + 1], kept[#kept + 2] = flat[i], flat[i + 1] end
  end
  return kept
end
local function consumersOf()
  local rows = {}
  for _, reply in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local consumer = fields(reply)
    if #consumer.name <= mostText then rows[#rows + 1] = {consumer.name, consumer.pending, consumer.idle} end
  end
  if #rows > mostConsumers then
    table.sort(rows, function(a, b)
      if (a[2] > 0) ~= (b[2] > 0) then return a[2] > 0 end
      if a[3] ~= b[3] then return a[3] < b[3] end
      return a[1] < b[1]
    end)
  end
  return capped(rows)
end
local function pendingOf()
  local summary = redis.call('XPENDING', stream, group)
  local rows = {}
  for _, row in ipairs(summary[4] or {}) do
    if #row[1] <= mostText then rows[#rows + 1] = {row[1], tonumber(row[2])} end
  end
  if #rows > mostConsumers then
    table.sort(rows, function(a, b) if a[2] ~= b[2] then return a[2] > b[2] end return a[1] < b[1] end)
  end
  return {summary[1], capped(rows)}
end
local found = {
  redis.call('TIME'),
  false,
  redis.call('HMGET', stats, unpack(ledger)),
  redis.call('XLEN', deadLetters),
  redis.call('TYPE', stream).ok
}
if found[5] ~= 'stream' then
  found[2] = registered({})
  return found
end
local about = fields(redis.call('XINFO', 'STREAM', stream))
local first, last = about['first-entry'], about['last-entry']
found[6] = {about['length'], about['entries-added'] or false, about['last-generated-id'], first and first[1]}
local info = groupOf(stream, group)
if not info then
  found[2] = registered({})
  return found
end
local cursor = info['last-delivered-id']
local page = math.max(1, math.min(longestPage, math.floor(pageBytes / math.max(1, size(first), size(last)))))
local ids = {}
for i, entry in ipairs(redis.call('XRANGE', stream, '(' .. cursor, '+', 'COUNT', page)) do ids[i] = entry[1] end
found[7] = {cursor, info['lag'] or false}
found[8] = {page, ids}
found[9] = pendingOf()
found[10] = {}
for _, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', pendingPage)) do
  found[10][#found[10] + 1] = {row[1], #row[2] <= mostText and row[2] or '', row[3], row[4]}
end
found[11] = consumersOf()
local present = {}
for i, consumer in ipairs(found[11]) do present[i] = consumer[1] end
found[2] = registered(present)
-- Retention's last report of an entry that it waits for, if that still holds.
local since, kind, id, holder = string.match(redis.call('HGET', stats, 'pin') or '', '^(%d+) (%a+) (%S+) (.*)$')
local held = holder and groupOf(stream, holder)
if held and first and not before(id, first[1]) then
  local unread = before(held['last-delivered-id'], id)
  local pending = kind == 'pending' and #redis.call('XPENDING', stream, holder, id, id, 1) == 1
  if pending or kind == 'unread' and unread then found[12] = {holder, kind, id, since} end
end
return found
