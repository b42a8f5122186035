--[[
  Retention in one step. With two steps, a group that is made, reads or claims in between would lose entries.
  redis/stream/retention.ts says how calls make a round, and what is measured.

  KEYS
    stream         stream
    stats          hash      the ledger, and what retention remembers

  ARGV
    group          text
    settledForMs   integer   how long entries stay once every group has settled them
    maxEntries     integer   the most that the stream may hold, read or not; 0 for no bound
    mostEntries    integer   what one call may trim …
    mostBytes      integer   … and how large that may be
    ignored        text[]    groups that do not hold entries back

  REPLY
    settled        integer   trimmed, settled by every group
    cut            integer   trimmed above maxEntries, read or not
    more           flag      the call ended for its bounds; there may be more to trim
    pinGroup       text      the group that holds back what is old enough; empty when none does
    pinKind        text      pending or unread
    pinId          text      the entry it holds
    pinnedMs       integer   how long this entry has been holding, at least
    nodeEntries    integer   mean entries of a stream's node
    unaccounted    integer   as auditLedger says
    undecided      integer
    from           text

  WRITES
    1 XTRIM MINID, XTRIM MAXLEN   a refusal leaves the rest for the next round
    2 record's (lib/ledger.lua)   a refusal is returned; what was cut unread is counted by HINCRBY, and the next audit begins anew
    3 HSET, HDEL stats pin, milestone   a refusal leaves an older pin, or a milestone that is set again
]]
-- @include ledger
-- @include trimming
if redis.call('EXISTS', stream) == 0 then return {0, 0, 0, '', '', '', 0, 0, 0, 0, ''} end
local state = assess(stream, group, stats)
local info = state and state.info or fields(redis.call('XINFO', 'STREAM', stream))
local now = serverNow()
local budget = {entries = mostEntries, bytes = mostBytes, head = info['first-entry'] or nil}
local nodeEntries = math.ceil(info.length / math.max(1, info['radix-tree-keys']))

local ignores = {}
for _, name in ipairs(ignored) do ignores[name] = true end
-- The first id that some group still needs, whose it is, and why.
local function neededFrom()
  local pin = {groups = 0}
  local function hold(name, kind, id, first)
    if not pin.id or before(id, pin.id) then pin.group, pin.kind, pin.id, pin.first = name, kind, id, first end
  end
  for _, reply in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local each = fields(reply)
    if not ignores[each.name] then
      pin.groups = pin.groups + 1
      if each.pending > 0 then
        local lowest = redis.call('XPENDING', stream, each.name)[2]
        hold(each.name, 'pending', lowest, lowest)
      end
      local cursor = each['last-delivered-id']
      if info.length > 0 and before(cursor, info['last-entry'][1]) then hold(each.name, 'unread', successor(cursor), nil) end
    end
  end
  return pin
end
local pin = neededFrom()

-- The end of what is old enough. Ids that are no times tell no age: what was settled at a milestone is old enough settledForMs later.
local milestone = nil
local function oldUntil()
  if settledForMs == 0 then return '18446744073709551615-18446744073709551615' end
  if info.length == 0 then return '0-0' end
  local ms = tonumber(string.match(info['first-entry'][1], '^%d+'))
  if ms >= 1262304000000 and ms <= now + 86400000 then return digits(now - settledForMs) .. '-0' end
  local held = redis.call('HGET', stats, 'milestone')
  local at, id = string.match(held or '', '^(%d+) (%S+)$')
  local old = at and now - at >= settledForMs
  if not at or old then milestone = digits(now) .. ' ' .. (pin.id or successor(info['last-generated-id'])) end
  return old and id or '0-0'
end
local old = oldUntil()
local pinned = pin.id ~= nil and before(pin.id, old)
local bound = pinned and pin.id or old

local barred = redis.acl_check_cmd and not redis.acl_check_cmd('HSET', stats, 'lost', '0')
if barred then return redis.error_reply('NOPERM the user may not HSET ' .. stats) end
local settled, cut, unread = 0, 0, 0
-- Without our group it is unknown which entries it has read: it is made again where it was.
if state and pin.groups > 0 then settled = trimBelow(stream, bound, budget, math.huge, 128) end
local over = maxEntries > 0 and redis.call('XLEN', stream) - maxEntries or 0
if over > 0 then
  local cursor = state and state.cursor
  local readUntil = cursor and info.length > 0 and before(cursor, info['last-entry'][1]) and successor(cursor)
  if readUntil then cut = trimBelow(stream, readUntil, budget, over, 0) end
  if cut < over then
    unread = trimAbove(stream, over - cut, budget)
    cut = cut + unread
  end
  if not readUntil then unread = 0 end
end

if state then
  state.reported = state.reported + unread
  state.seen.gone = state.seen.gone + settled + cut
  state.seen.sumUnread = state.seen.sumUnread - unread
  local recorded = attempt(record, stats, state)
  if refused(recorded) then
    -- Cut entries are gone. Another command counts them, and the sum begins anew.
    attempt(redis.call, 'HINCRBY', stats, 'lost', unread)
    attempt(redis.call, 'HDEL', stats, 'base', 'seen')
    return recorded
  end
end
if pinned and pin.kind == 'unread' then
  local first = redis.call('XRANGE', stream, pin.id, '+', 'COUNT', 1)[1]
  pin.first = first and first[1]
  pinned = first ~= nil and before(pin.first, old)
end
local pinnedMs = 0
if pinned then
  local held = redis.call('HGET', stats, 'pin')
  local since, name = string.match(held or '', '^(%d+) (.*)$')
  local text = pin.kind .. ' ' .. pin.first .. ' ' .. pin.group
  if name ~= text then
    since = digits(now)
    redis.call('HSET', stats, 'pin', since .. ' ' .. text)
  end
  pinnedMs = now - since
elseif redis.call('HGET', stats, 'pin') then
  redis.call('HDEL', stats, 'pin')
end
if milestone then redis.call('HSET', stats, 'milestone', milestone) end
local missing = state and state.unaccounted + state.undecided > 0
return {
  settled, cut, budget.spent and 1 or 0,
  pinned and pin.group or '', pinned and pin.kind or '', pinned and pin.first or '', pinnedMs, nodeEntries,
  state and state.unaccounted or 0, state and state.undecided or 0, missing and state.missingFrom or ''
}
