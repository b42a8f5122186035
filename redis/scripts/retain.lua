--[[
  Retention in one step: a group made, or an entry read or claimed, between looking and trimming would lose data.

  KEYS
    stream         stream
    stats          hash      the ledger

  ARGV
    group          text
    settledForMs   integer   how long entries stay once every group has settled them
    maxEntries     integer   the most that the stream may hold, read or not; 0 for no bound
    ignored        text[]    groups that do not hold entries back

  REPLY
    settled        integer   trimmed, settled by every group
    cut            integer   trimmed above maxEntries, read or not

  WRITES
    1 account's (lib/ledger.lua)
    2 XTRIM MINID, XTRIM MAXLEN   a refusal leaves the rest for the next round
    3 account's                   a refusal leaves the ledger as of before; the next round brings it up to date
]]
-- @include ledger
-- @include entryIds
-- @include clock
if redis.call('EXISTS', stream) == 0 then return {0, 0} end
account(stream, group, stats)
local ignores = {}
for _, name in ipairs(ignored) do ignores[name] = true end
local bound = digits(serverNow() - settledForMs) .. '-0'
local groups = 0
for _, reply in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local info = fields(reply)
  if not ignores[info.name] then
    groups = groups + 1
    if info.pending > 0 then
      local lowest = redis.call('XPENDING', stream, info.name)[2]
      if before(lowest, bound) then bound = lowest end
    end
    local unread = redis.call('XRANGE', stream, '(' .. info['last-delivered-id'], '+', 'COUNT', 1)[1]
    if unread and before(unread[1], bound) then bound = unread[1] end
  end
end
local settled, cut = 0, 0
if groups > 0 then settled = redis.call('XTRIM', stream, 'MINID', '~', bound, 'LIMIT', 10000) end
if maxEntries > 0 and redis.call('XLEN', stream) > maxEntries then
  cut = redis.call('XTRIM', stream, 'MAXLEN', '~', maxEntries, 'LIMIT', 10000)
end
if settled + cut > 0 then account(stream, group, stats) end
return {settled, cut}
