--[[
  The portable path, at the end: releases the locks that are still ours.

  KEYS
    locks     string[]

  ARGV
    token     text

  REPLY
    released  integer

  WRITES
    1 DEL lock, per key   a refusal leaves the rest, which expire
]]
-- @include replies
local released = 0
for _, lock in ipairs(locks) do
  local held = attempt(redis.call, 'GET', lock)
  -- A key of another type is not ours.
  if refused(held) and string.sub(held.err, 1, 9) ~= 'WRONGTYPE' then return held end
  if held == token then
    redis.call('DEL', lock)
    released = released + 1
  end
end
return {released}
