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
    seen             integer   rows dealt with
    more             flag      the page was full, or this call has copied enough
    last             text      id of the last row dealt with; empty without any
    oldest           text      with Released: id of the oldest entry that is still under the name
    refusal          text      why a record could not be written; empty when none was refused
    stopped          text      why XCLAIM was refused, which ended the page; empty when it was not

  WRITES
    1 INCR nudge                                       a refusal ends the script; the next reaping does the rest
    2 per row: deadLetterTrimmed's, or heldRows.claim's    a refused record is returned; a refused XCLAIM ends the page
    3 XGROUP DELCONSUMER, only of a name that holds nothing
    4 DEL heartbeat, HDEL registry                     a refusal leaves a name that is reaped again
]]
-- @include heldRows
-- @include clock
local function answer(outcome, more)
  more = more or {}
  return {
    outcome, more.registered or '', more.released or 0, more.trimmed or 0, more.seen or 0, more.more and 1 or 0, more.last or '',
    more.oldest or '', more.refusal or '', more.stopped or ''
  }
end
local registered = redis.call('HGET', registry, name)
if registered ~= uid then return answer('Changed', {registered = registered}) end
if requireExpired and redis.call('EXISTS', heartbeat) == 1 then return answer('Alive') end
local function held(from, count)
  local page = redis.pcall('XPENDING', stream, group, from, '+', count, name)
  if refused(page) and string.sub(page.err, 1, 7) == 'NOGROUP' then return {}, true end
  return page, false
end
local page, groupless = held(start, pageSize)
if refused(page) then return page end
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local rows = createHeldRows(place, serverNow())
local young = false
for _, row in ipairs(page) do young = young or row[3] < minIdleMs end
if young then redis.call('INCR', nudge) end
local found = {released = 0, trimmed = 0, seen = 0}
for _, row in ipairs(page) do
  if rows.bytes() > 1048576 then break end
  local outcome, stop = nil, nil
  if rows.locate(row) == 'gone' then outcome = rows.deadLetter(row)
  elseif row[3] < minIdleMs then outcome, stop = rows.claim(name, row, 'IDLE', minIdleMs, 'JUSTID') end
  if stop then
    found.stopped = stop.err
    break
  end
  if refused(outcome) then found.refusal = outcome.err
  elseif outcome == 'dead' then found.trimmed = found.trimmed + 1
  elseif outcome == 'claimed' then found.released = found.released + 1 end
  found.seen = found.seen + 1
end
found.more = found.seen < #page or #page == pageSize
found.last = found.seen > 0 and page[found.seen][1] or ''
local left = held('-', 1)
if refused(left) then return left end
local oldest = left[1]
found.oldest = oldest and oldest[1]
if oldest then return answer('Released', found) end
if not groupless then redis.call('XGROUP', 'DELCONSUMER', stream, group, name) end
redis.call('DEL', heartbeat)
redis.call('HDEL', registry, name)
return answer('Gone', found)
