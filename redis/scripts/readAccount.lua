--[[
  The group's ledger and its stream, at one instant. redis/stream/account.ts describes its purpose.

  KEYS
    stream         stream
    stats          hash      the ledger
    deadLetters    stream

  ARGV
    group          text

  REPLY
    now            integer   server time, ms
    known          flag      the group exists, or existed and is to be made again
    present        flag      the group exists; without it, what follows is 0
    born           integer   server time, ms, at which the ledger was made; 0 where an older version made it
    began          integer   server time, ms, at which the group was made; 0 where an older version made it
    added          integer   entries ever added to the stream
    length         integer   entries in the stream, also without a group
    first          text      id of the first of them; empty without any
    cursor         text      id of the last entry that the group was given
    last           text      id of the last entry ever added
    settled        integer   entries that consumers acknowledged, …
    forwarded      integer   … as jobs,
    duplicates     integer   as duplicates,
    dead           integer   as dead letters; an older version's are in `settled` alone
    trimmed        integer   pending entries that the stream had lost
    lost           integer   entries cut unread
    taken          integer   entries that other programs took, or that were cut unread; counts do not separate them
    pending        integer
    undelivered    integer?  nothing where counts do not show it
    supposed       integer?  undelivered entries by the ledger's sum, or by Redis' own lag; nothing where both lack it
    deadLetters    integer   records ever added to the dead-letter stream

  WRITES
    none
]]
-- @include ledger
local function counted(key)
  return redis.call('EXISTS', key) == 1 and fields(redis.call('XINFO', 'STREAM', key)) or {}
end
local info, letters = counted(stream), counted(deadLetters)
local now, length, records = digits(serverNow()), info.length or 0, letters['entries-added'] or letters.length or 0
local first = info['first-entry'] and info['first-entry'][1] or ''
local last = info['last-generated-id'] or '0-0'
local known = redis.call('HGET', stats, 'group') and 1 or 0
local state = info.length and assess(stream, group, stats)
if not state then return {now, known, 0, 0, 0, 0, length, first, '0-0', last, 0, 0, 0, 0, 0, 0, 0, 0, false, false, records} end
local function stat(name) return tonumber(redis.call('HGET', stats, name) or '0') or 0 end
-- Without a sum, Redis' own lag replaces it.
local sum = state.group.lag
if state.base then
  sum = state.added - state.base - state.settled - state.trimmedPending - state.group.pending - (state.reported - state.lostBefore)
end
return {
  now, 1, 1, digits(stat('born')), digits(stat('began')), digits(state.added), length, first, state.cursor, last, digits(state.settled),
  digits(stat('forwarded')), digits(stat('duplicates')), digits(stat('dead')), digits(state.trimmedPending),
  digits(state.reported), state.unaccounted + state.undecided, state.group.pending, state.waiting or false, sum or false, digits(records)
}
