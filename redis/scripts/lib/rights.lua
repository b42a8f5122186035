--[[
  forbidden(command, key, …) returns an error reply where the user may not send this command, or nil. A right that is missing in the
  middle of a script leaves half of its work done, so a script asks for the later ones before its first write. A server without
  `acl_check_cmd` cannot be asked; there the order of the writes has to do.

  WRITES
    none
]]
local function forbidden(...)
  if not redis.acl_check_cmd or redis.acl_check_cmd(...) then return nil end
  local command, key = ...
  return redis.error_reply('NOPERM the user may not ' .. command .. ' ' .. key)
end
