--[[
  fields(reply) turns a flat list of name and value into a table.
  refused(reply) returns the text of an error reply, or nil.
  attempt(work, …) runs `work` and returns its result, or an error reply in place of what it raised: a refusal of one write must not
  keep the script from the next. send(…) does the same for one command, at a lower price. If the user lacks a right inside a script,
  Redis 7.0 answers with the general code ERR. These two give that reply the code NOPERM, by which the client recognises it.
]]
local function fields(reply)
  local map = {}
  for i = 1, #reply, 2 do map[reply[i]] = reply[i + 1] end
  return map
end
local function refused(reply) return type(reply) == 'table' and reply.err or nil end
local function refusal(reply, ...)
  if redis.acl_check_cmd then
    local known, allowed = pcall(redis.acl_check_cmd, ...)
    if known and not allowed then reply = 'NOPERM the user may not send ' .. table.concat({...}, ' ', 1, 2) end
  end
  return {err = reply}
end
local function attempt(work, ...)
  local done, result = pcall(work, ...)
  if done then return result end
  local reply = refused(result) or tostring(result)
  return work == redis.call and refusal(reply, ...) or {err = reply}
end
local function send(...)
  local reply = redis.pcall(...)
  return refused(reply) and refusal(reply.err, ...) or reply
end
