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
    trimmed         integer   entries that became dead letters
    more            flag      the page was full, or this call has copied enough
    last            text      id of the last row dealt with; empty without any
    refusal         text      why a record could not be written; empty when none was refused
    stopped         text      why XCLAIM was refused, which ended the page; empty when it was not

  WRITES
    1 INCR nudge                                       a refusal leaves entries that grow idle and are reclaimed
    2 per row: deadLetterTrimmed's, or heldRows.claim's    a refused record leaves its entry pending; a refused XCLAIM ends the page, and
                                                           the rest grows idle and is reclaimed
]]
-- @include heldRows
-- @include clock
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local rows = createHeldRows(place, serverNow())
local held = redis.call('XPENDING', stream, group, start, '+', pageSize, consumer)
if #held > 0 then redis.call('INCR', nudge) end
local returned, trimmed, seen, refusal, stopped = 0, 0, 0, '', ''
for _, row in ipairs(held) do
  if rows.bytes() > 1048576 then break end
  local count = row[4] > 0 and row[4] - 1 or 0
  local outcome, stop = nil, nil
  if rows.locate(row) == 'gone' then outcome = rows.deadLetter(row)
  else outcome, stop = rows.claim(consumer, row, 'IDLE', idleMs, 'RETRYCOUNT', count, 'JUSTID') end
  if stop then
    stopped = stop.err
    break
  end
  if refused(outcome) then refusal = outcome.err
  elseif outcome == 'dead' then trimmed = trimmed + 1
  elseif outcome == 'claimed' then returned = returned + 1 end
  seen = seen + 1
end
local more = (seen < #held or #held == pageSize) and 1 or 0
return {returned, trimmed, more, seen > 0 and held[seen][1] or '', refusal, stopped}
