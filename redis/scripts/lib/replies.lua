--[[
  fields(reply) turns a flat list of name and value into a table.
  refused(reply) returns the text of an error reply, or nil.
  attempt(work, …) runs `work` and returns its result, or an error reply in place of what it raised: a refusal of one write must not
  keep the script from the next.
]]
local function fields(reply)
  local map = {}
  for i = 1, #reply, 2 do map[reply[i]] = reply[i + 1] end
  return map
end
local function refused(reply) return type(reply) == 'table' and reply.err or nil end
local function attempt(work, ...)
  local done, result = pcall(work, ...)
  if done then return result end
  return {err = refused(result) or tostring(result)}
end
