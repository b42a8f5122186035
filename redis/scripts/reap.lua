--[[
  Releases a page of what a vanished consumer holds, and takes its name away once that is nothing. redis/stream/reaping.ts says why
  nothing is handed to another consumer.

  KEYS
    stream           stream
    deadLetters      stream
    stats            hash
    registry         hash      name → owner and life of each consumer
    nudge            string
    heartbeat        string    of this consumer

  ARGV
    group            text
    name             text
    uid              text      as the registry holds it
    minIdleMs        integer   idle time that lets any consumer claim
    maxDeadLetters   integer
    requireExpired   flag      leave it alone while its heartbeat has not expired
    start            text      where the page begins
    pageSize         integer

  REPLY
    outcome          text      Changed, Alive, Released or Gone
    registered       text      with Changed: the uid that the registry holds
    released         integer   entries made claimable
    trimmed          integer   entries that became dead letters
    seen             integer   rows of the page
    last             text      id of its last row; empty without any
    oldest           text      with Released: id of the oldest entry that is still under the name
    refusal          text      why a record could not be written; empty when none was refused

  WRITES
    1 per row: deadLetterTrimmed's, or XCLAIM JUSTID   a refusal ends the script; the next reaping does the rest
    2 INCR nudge                                       a refusal leaves entries that the next round finds
    3 XGROUP DELCONSUMER, only of a name that holds nothing
    4 HDEL registry, DEL heartbeat                     a refusal leaves a name that is reaped again
]]
-- @include trimmedEntry
local registered = redis.call('HGET', registry, name)
if registered ~= uid then return {'Changed', registered or '', 0, 0, 0, '', '', ''} end
if requireExpired and redis.call('EXISTS', heartbeat) == 1 then return {'Alive', '', 0, 0, 0, '', '', ''} end
local function held(from, count)
  local page = redis.pcall('XPENDING', stream, group, from, '+', count, name)
  if refused(page) and string.sub(page.err, 1, 7) == 'NOGROUP' then return {}, true end
  return page, false
end
local page, groupless = held(start, pageSize)
if refused(page) then return page end
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local released, trimmed, refusal = 0, 0, ''
for _, row in ipairs(page) do
  if #redis.call('XRANGE', stream, row[1], row[1]) == 0 then
    local outcome = deadLetterTrimmed(place, row[1], 0)
    if refused(outcome) then refusal = outcome.err elseif outcome == 'dead' then trimmed = trimmed + 1 end
  elseif row[3] < minIdleMs then
    redis.call('XCLAIM', stream, group, name, 0, row[1], 'IDLE', minIdleMs, 'JUSTID')
    released = released + 1
  end
end
if released > 0 then redis.call('INCR', nudge) end
local last = #page > 0 and page[#page][1] or ''
local oldest = held('-', 1)[1]
if oldest then return {'Released', '', released, trimmed, #page, last, oldest[1], refusal} end
if not groupless then redis.call('XGROUP', 'DELCONSUMER', stream, group, name) end
redis.call('HDEL', registry, name)
redis.call('DEL', heartbeat)
return {'Gone', '', released, trimmed, #page, last, '', ''}
