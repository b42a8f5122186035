--[[
  Releases the execution lock while it is ours.

  KEYS
    lock      string

  ARGV
    token     text

  REPLY
    released  flag

  WRITES
    1 DEL   a refusal leaves the lock to expire
]]
if redis.call('GET', lock) ~= token then return {0} end
return {redis.call('DEL', lock)}
