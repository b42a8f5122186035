--[[
  The stream's half of a replay in several steps: the entry goes back, the record goes.

  KEYS
    stream       stream
    deadLetters  stream
    replays      hash     id of a record → id of its new entry

  ARGV
    id           text     of the record

  REPLY
    outcome      text     the new entry's id, gone, empty, damaged or large

  WRITES
    1 noteReplay's (lib/restoreEntry.lua)     a refusal leaves everything as it was
    2 restoreEntry's (lib/restoreEntry.lua)   a refusal leaves the record; the next replay adds
    3 endReplay's (lib/restoreEntry.lua)      a refusal leaves a record that is noted as replayed
]]
-- @include restoreEntry
local replay = readReplay(deadLetters, replays, id)
local added = replay.added
if replay.outcome ~= 'ready' and not added then return {replay.outcome} end
local refusal = mayNotReplay(stream, deadLetters, replays, id)
if refusal then return refusal end
if not added then
  noteReplay(replays, id)
  added = restoreEntry(stream, replays, id, replay.entry)
  if refused(added) then return added end
end
endReplay(deadLetters, replays, id)
return {added}
