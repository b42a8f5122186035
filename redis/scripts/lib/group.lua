--[[
  groupOf(stream, name) returns the fields of XINFO GROUPS for one group, or nil.
]]
-- @include replies
local function groupOf(stream, name)
  for _, reply in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = fields(reply)
    if group.name == name then return group end
  end
  return nil
end
