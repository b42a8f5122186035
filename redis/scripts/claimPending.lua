--[[
  Takes over pending entries, just before an attempt at them. Entries that the stream no longer holds become dead letters (Trimmed):
  XCLAIM would delete their pending rows silently.

  A record that cannot be written stops nothing: what has been claimed by then has its count raised and must be attempted.

  KEYS
    stream          stream
    deadLetters     stream
    stats           hash

  ARGV
    group           text
    consumer        text      who takes over
    minIdleMs       integer   only what is idle for so long
    maxDeadLetters  integer
    counts          flag      whether the delivery count goes up
    own             flag      only what is still under this consumer's name
    maxBytes        integer   the most that the claimed entries may hold together; the first is claimed whatever its size
    ids             text[]

  REPLY
    trimmed         integer   entries that became dead letters
    claimed         rows
      .id           text
      .fields       bytes[]   field, value, …
      .deliveries   integer   with this one
    refusal         text      why a record could not be written, or an entry claimed; empty when none was refused
    seen            integer   ids dealt with, from the first on

  WRITES
    1 HSET stats group                the value that it holds already. Without memory Redis refuses here, before XCLAIM counts a delivery
                                      that cannot succeed: then nothing was claimed
    2 per id: deadLetterTrimmed's, or XCLAIM
                                      a refused record is returned; a refused XCLAIM ends the claiming, and what was done before is
                                      returned, or its error where nothing was
]]
-- @include trimmedEntry
-- @include clock
redis.call('HSET', stats, 'group', group)
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local now = serverNow()
local claimed, trimmed, refusal, seen, bytes = {}, 0, '', 0, 0
for _, id in ipairs(ids) do
  local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
  if row and row[3] >= minIdleMs and (not own or row[2] == consumer) then
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then
      local outcome = deadLetterTrimmed(place, id, now, minIdleMs, row)
      if refused(outcome) then refusal = outcome.err elseif outcome == 'dead' then trimmed = trimmed + 1 end
    else
      local size = 0
      for _, part in ipairs(entry[2]) do size = size + #part end
      if #claimed > 0 and bytes + size > maxBytes then break end
      local count = row[4] + (counts and 1 or 0)
      local taken = attempt(redis.call, 'XCLAIM', stream, group, consumer, minIdleMs, id, 'RETRYCOUNT', count)
      if refused(taken) then
        if #claimed + trimmed == 0 then return taken end
        refusal = taken.err
        break
      end
      if taken[1] then
        claimed[#claimed + 1] = {taken[1][1], taken[1][2], count}
        bytes = bytes + size
      end
    end
  end
  seen = seen + 1
end
return {trimmed, claimed, refusal, seen}
