--[[
  How much waits in a queue, and whether it is paused. A meta hash of another type hides no number here: the check of key types reports it.

  KEYS
    meta         hash
    wait         list
    paused       list
    prioritized  zset

  REPLY
    paused       flag
    waiting      integer

  WRITES
    none
]]
local mark = redis.pcall('HGET', meta, 'paused')
local count = redis.call('LLEN', wait) + redis.call('LLEN', paused) + redis.call('ZCARD', prioritized)
return {type(mark) == 'string' and 1 or 0, count}
