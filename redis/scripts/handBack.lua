--[[
  Makes a page of what a consumer holds claimable at once, each delivery taken back, and nudges the other consumers.

  KEYS
    stream          stream
    nudge           string
    deadLetters     stream
    stats           hash

  ARGV
    group           text
    consumer        text
    idleMs          integer   idle time that lets any consumer claim
    start           text      where the page begins
    maxDeadLetters  integer
    pageSize        integer

  REPLY
    returned        integer   made claimable
    more            flag      the page was full, or this call has copied enough
    last            text      id of the last row dealt with; empty without any

  WRITES
    1 INCR nudge                                       a refusal leaves entries that grow idle and are reclaimed
    2 per row: deadLetterTrimmed's, or XCLAIM JUSTID   a refused record leaves its entry pending; a refused XCLAIM ends the script, and
                                                       the rest grows idle and is reclaimed
]]
-- @include trimmedEntry
-- @include existence
-- @include clock
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local now, exists = serverNow(), existenceIn(stream)
local held = redis.call('XPENDING', stream, group, start, '+', pageSize, consumer)
if #held > 0 then redis.call('INCR', nudge) end
local returned, seen, bytes = 0, 0, 0
for _, row in ipairs(held) do
  if bytes > 1048576 then break end
  local there, copied = exists(row[1])
  bytes = bytes + copied
  if there then
    local count = row[4] > 0 and row[4] - 1 or 0
    redis.call('XCLAIM', stream, group, consumer, 0, row[1], 'IDLE', idleMs, 'RETRYCOUNT', count, 'JUSTID')
    returned = returned + 1
  else
    deadLetterTrimmed(place, row[1], now, 0, row)
  end
  seen = seen + 1
end
return {returned, (seen < #held or #held == pageSize) and 1 or 0, seen > 0 and held[seen][1] or ''}
