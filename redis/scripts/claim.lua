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
    counts          flag      it raises the delivery count
    own             flag      only what is still under this consumer's name
    maxBytes        integer   entries are claimed while together they are no larger; one at least
    ids             text[]

  REPLY
    trimmed         integer   entries that became dead letters
    claimed         rows
      .id           text
      .fields       bytes[]   field, value, …
      .deliveries   integer   with this one
    refusal         text      why a record could not be written; empty when none was refused
    seen            integer   ids dealt with, from the first on

  WRITES
    1 HINCRBY stats settled 0         refused for want of memory, before XCLAIM counts a delivery that cannot succeed
    2 per id: deadLetterTrimmed's, or XCLAIM
                                      a refusal of XCLAIM ends the script: what was claimed before is found under our name
]]
-- @include trimmedEntry
redis.call('HINCRBY', stats, 'settled', 0)
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local claimed, trimmed, refusal, seen, bytes = {}, 0, '', 0, 0
for _, id in ipairs(ids) do
  local found = redis.call('XRANGE', stream, id, id)[1]
  local size = 0
  for _, part in ipairs(found and found[2] or {}) do size = size + #part end
  if #claimed > 0 and bytes + size > maxBytes then break end
  seen = seen + 1
  if not found then
    local outcome = deadLetterTrimmed(place, id, minIdleMs)
    if refused(outcome) then refusal = outcome.err elseif outcome == 'dead' then trimmed = trimmed + 1 end
  else
    local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
    if row and (not own or row[2] == consumer) then
      local count = row[4] + (counts and 1 or 0)
      local entry = redis.call('XCLAIM', stream, group, consumer, minIdleMs, id, 'RETRYCOUNT', count)[1]
      if entry then
        claimed[#claimed + 1] = {entry[1], entry[2], count}
        bytes = bytes + size
      end
    end
  end
end
return {trimmed, claimed, refusal, seen}
