--[[
  The first step of a replay that takes several: what is to be done, and whether the stream's Redis would let it be done. The queue is
  cleared only after that.

  KEYS
    stream       stream
    deadLetters  stream
    replays      hash     id of a record → id of its new entry

  ARGV
    id           text     of the record

  REPLY
    outcome      text     gone, empty, damaged, again (only the record is to be deleted), ready, or large (more than Lua passes on)

  WRITES
    none
]]
-- @include restoreEntry
local outcome = readReplay(deadLetters, replays, id).outcome
if outcome == 'ready' or outcome == 'large' or outcome == 'again' then
  local refusal = mayNotReplay(stream, deadLetters, replays, id)
  if refusal then return refusal end
end
return {outcome}
