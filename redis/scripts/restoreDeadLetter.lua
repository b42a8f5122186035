--[[
  The stream's half of a replay, where the queue is elsewhere: the entry goes back, the record goes.

  KEYS
    stream       stream
    deadLetters  stream

  ARGV
    id           text     of the record

  REPLY
    outcome      text     the new entry's id, gone or empty

  WRITES
    1 restoreEntry's (lib/restoreEntry.lua)
]]
-- @include restoreEntry
return {restoreEntry(stream, deadLetters, id)}
