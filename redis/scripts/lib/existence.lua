--[[
  existenceIn(stream) returns a function of an entry id: true or false, whether the stream holds it, and the bytes that were copied to
  find out. Asking with XRANGE copies the payload into Lua, which held Redis for half a second over a page of large entries. Below
  the first entry there is nothing, and above the last id that was ever deleted from the middle nothing is missing; only between
  the two an entry is asked for itself.
]]
-- @include replies
-- @include entryIds
local function existenceIn(stream)
  if redis.call('EXISTS', stream) == 0 then return function() return false, 0 end end
  local about = fields(redis.call('XINFO', 'STREAM', stream))
  local first, last = about['first-entry'] and about['first-entry'][1], about['last-generated-id']
  local deleted = about['max-deleted-entry-id'] or last
  return function(id)
    if not first or before(id, first) or before(last, id) then return false, 0 end
    if before(deleted, id) then return true, 0 end
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then return false, 0 end
    local bytes = 0
    for _, part in ipairs(entry[2]) do bytes = bytes + #part end
    return true, bytes
  end
end
