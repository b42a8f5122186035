--[[
  existenceIn(stream) reports whether entries of the stream exist. XRANGE copies the payload into Lua, which held Redis for half a second
  over a page of large entries. So the stream's ends, and the last id deleted from the middle, answer first.

  existence.of(id) returns
    'gone'      below the first entry, or above the last
    'likely'    above the last deleted id: it exists, unless the stream comes from a Redis before 7, whose dumps do not hold that id
    'unknown'   between the two
  existence.look(id) returns true or false, and the bytes copied for the answer.
]]
-- @include replies
-- @include entryIds
local function existenceIn(stream)
  local first, last, deleted = nil, nil, nil
  if redis.call('EXISTS', stream) == 1 then
    local about = fields(redis.call('XINFO', 'STREAM', stream))
    first, last = about['first-entry'] and about['first-entry'][1], about['last-generated-id']
    deleted = about['max-deleted-entry-id'] or last
  end
  local existence = {}
  function existence.of(id)
    if not first or before(id, first) or before(last, id) then return 'gone' end
    return before(deleted, id) and 'likely' or 'unknown'
  end
  function existence.look(id)
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then return false, 0 end
    local bytes = 0
    for _, part in ipairs(entry[2]) do bytes = bytes + #part end
    return true, bytes
  end
  return existence
end
