--[[
  Last command of the MULTI that replays an entry of too many fields for Lua. A MULTI does not stop at a refused command, so it looks
  whether the XADD before it has added an entry. Only then does the record go.

  MULTI

  KEYS
    stream       stream
    deadLetters  stream
    replays      hash     id of a record → id of its new entry

  ARGV
    id           text     of the record

  REPLY
    added        text     id of the new entry; empty where none was added

  WRITES
    1 HSET replays                         a refusal leaves entry and record, without a note; so the rights are asked for before
    2 endReplay's (lib/restoreEntry.lua)   a refusal leaves a record that is noted as replayed
]]
-- @include restoreEntry
local last = fields(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
local note = redis.call('HGET', replays, id) or ''
if string.sub(note, 1, 6) ~= 'after ' then return {''} end
if string.sub(note, 7) == last then
  redis.call('HDEL', replays, id)
  return {''}
end
redis.call('HSET', replays, id, last)
endReplay(deadLetters, replays, id)
return {last}
