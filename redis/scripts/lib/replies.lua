--[[
  fields(reply) turns a flat list of name and value into a table.
  refused(reply) returns the text of an error reply, or nil.
]]
local function fields(reply)
  local map = {}
  for i = 1, #reply, 2 do map[reply[i]] = reply[i + 1] end
  return map
end
local function refused(reply) return type(reply) == 'table' and reply.err or nil end
