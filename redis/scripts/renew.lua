--[[
  Resets the idle time of entries that a consumer still holds. Delivery counts stay, and what went to another owner stays there.
  The row of a trimmed entry is left to the consumer that settles or claims it: XCLAIM would delete it silently.

  KEYS
    stream          stream
    deadLetters     stream
    stats           hash

  ARGV
    group           text
    consumer        text
    maxDeadLetters  integer
    ids             text[]

  REPLY
    renewed         integer
    trimmed         integer   entries that became dead letters, since only XCLAIM found them gone
    seen            integer   ids dealt with, from the first on; fewer where this call has copied enough
    stopped         text      why XCLAIM or a record was refused, which ended the call; empty when it was not

  WRITES
    1 per id: heldRows.claim's (lib/heldRows.lua)   a refused XCLAIM ends the call and leaves the rest as idle as they are
]]
-- @include heldRows
-- @include clock
local rows = createHeldRows({stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}, serverNow())
local renewed, trimmed, seen = 0, 0, 0
for _, id in ipairs(ids) do
  if rows.bytes() > 1048576 then break end
  local row = redis.call('XPENDING', stream, group, id, id, 1, consumer)[1]
  if row and rows.locate(row) ~= 'gone' then
    local outcome, stop = rows.claim(consumer, row, 'JUSTID')
    if stop then return {renewed, trimmed, seen, stop.err} end
    if outcome == 'dead' then trimmed = trimmed + 1 elseif outcome == 'claimed' then renewed = renewed + 1 end
  end
  seen = seen + 1
end
return {renewed, trimmed, seen, ''}
