--[[
  Resets the idle time of entries that a consumer still holds. Delivery counts stay, and what went to another owner stays there.
  The row of a trimmed entry is left to the consumer that settles or claims it: XCLAIM would delete it silently.

  KEYS
    stream    stream

  ARGV
    group     text
    consumer  text
    ids       text[]

  REPLY
    renewed   integer

  WRITES
    1 XCLAIM JUSTID, per id   a refusal leaves the rest as idle as they are
]]
local renewed = 0
for _, id in ipairs(ids) do
  if #redis.call('XPENDING', stream, group, id, id, 1, consumer) == 1 and #redis.call('XRANGE', stream, id, id) == 1 then
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
    renewed = renewed + 1
  end
end
return {renewed}
