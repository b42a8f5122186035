--[[
  Removes a name from group and registry if its process ended long ago without leaving. An error of this judgement loses nothing: a living
  process registers again with its next heartbeat. A name that the group does not know has read nothing. It goes once its heartbeat has
  expired.

  KEYS
    stream     stream
    heartbeat  string    of this consumer
    registry   hash

  ARGV
    group      text
    consumer   text
    uid        text      as the registry holds it
    idleMs     integer   how long it must have asked for nothing

  REPLY
    retired    flag

  WRITES
    1 XGROUP DELCONSUMER   a refusal leaves the name; it is tried again
    2 HDEL registry        a refusal leaves a name in the registry alone; it is tried again
]]
-- @include replies
if redis.call('EXISTS', heartbeat) == 1 or redis.call('HGET', registry, consumer) ~= uid then return {0} end
if redis.call('EXISTS', stream) == 1 then
  local known = redis.pcall('XINFO', 'CONSUMERS', stream, group)
  if refused(known) and string.sub(known.err, 1, 7) ~= 'NOGROUP' then return known end
  for _, reply in ipairs(refused(known) and {} or known) do
    local each = fields(reply)
    if each.name == consumer then
      if each.pending > 0 or each.idle < idleMs then return {0} end
      redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
    end
  end
end
redis.call('HDEL', registry, consumer)
return {1}
