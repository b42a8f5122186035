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
local released = 0
for _, lock in ipairs(locks) do
  if redis.call('GET', lock) == token then
    redis.call('DEL', lock)
    released = released + 1
  end
end
return {released}
