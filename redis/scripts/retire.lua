--[[
  Ends a consumer's heartbeat, and takes its name out of group and registry if it holds nothing: DELCONSUMER would drop what it holds.

  KEYS
    stream     stream
    heartbeat  string
    registry   hash

  ARGV
    group      text
    consumer   text

  REPLY
    retired    flag

  WRITES
    1 DEL heartbeat                      a refusal leaves one that expires
    2 XGROUP DELCONSUMER, HDEL registry  a refusal leaves a name that holds nothing; it is reaped
]]
redis.call('DEL', heartbeat)
local held = redis.pcall('XPENDING', stream, group, '-', '+', 1, consumer)
if held.err or #held > 0 then return {0} end
redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
redis.call('HDEL', registry, consumer)
return {1}
