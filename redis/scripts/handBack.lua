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
    seen            integer   rows of the page
    last            text      id of its last row; empty without any

  WRITES
    1 per row: deadLetterTrimmed's, or XCLAIM JUSTID   a refusal ends the script; the rest grows idle and is reclaimed
    2 INCR nudge                                       a refusal leaves entries that the next round finds
]]
-- @include trimmedEntry
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local held = redis.call('XPENDING', stream, group, start, '+', pageSize, consumer)
local returned = 0
for _, row in ipairs(held) do
  if #redis.call('XRANGE', stream, row[1], row[1]) == 0 then
    deadLetterTrimmed(place, row[1], 0)
  else
    local count = row[4] > 0 and row[4] - 1 or 0
    redis.call('XCLAIM', stream, group, consumer, 0, row[1], 'IDLE', idleMs, 'RETRYCOUNT', count, 'JUSTID')
    returned = returned + 1
  end
end
if returned > 0 then redis.call('INCR', nudge) end
return {returned, #held, #held > 0 and held[#held][1] or ''}
