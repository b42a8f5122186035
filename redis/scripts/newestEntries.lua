--[[
  Ids of the last entries of streams, for a read whose reply would hold an entry beyond the bound. A key that is no stream, or that this
  user may not read, has none.

  KEYS
    streams   string[]  streams

  REPLY
    ids       text[]    of the last entry ever added, in order; empty: none

  WRITES
    none
]]
-- @include replies
local ids = {}
for i, stream in ipairs(streams) do
  local about = attempt(redis.call, 'XINFO', 'STREAM', stream)
  ids[i] = refused(about) and '' or fields(about)['last-generated-id'] or ''
end
return {ids}
