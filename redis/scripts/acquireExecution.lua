--[[
  Takes the execution lock, or recognises its own token: a command that was resent runs twice.

  KEYS
    lock         string

  ARGV
    token        text
    ttlMs        integer

  REPLY
    acquired     flag
    remainingMs  integer   of the other holder's lock

  WRITES
    1 SET NX, or PEXPIRE of our own   a refusal leaves the lock as it was
]]
if redis.call('SET', lock, token, 'NX', 'PX', ttlMs) then return {1, 0} end
if redis.call('GET', lock) == token then
  redis.call('PEXPIRE', lock, ttlMs)
  return {1, 0}
end
return {0, redis.call('PTTL', lock)}
