--[[
  Renews the execution lock while it is ours.

  KEYS
    lock     string

  ARGV
    token    text
    ttlMs    integer

  REPLY
    renewed  flag

  WRITES
    1 PEXPIRE   a refusal leaves the lock to expire
]]
if redis.call('GET', lock) ~= token then return {0} end
return {redis.call('PEXPIRE', lock, ttlMs)}
