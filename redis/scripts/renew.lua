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
    seen      integer   ids dealt with, from the first on; fewer where this call has copied enough

  WRITES
    1 XCLAIM JUSTID, per id   a refusal ends the script and leaves the rest as idle as they are
]]
-- @include existence
local exists = existenceIn(stream)
local renewed, seen, bytes = 0, 0, 0
for _, id in ipairs(ids) do
  if bytes > 1048576 then break end
  if #redis.call('XPENDING', stream, group, id, id, 1, consumer) == 1 then
    local there, copied = exists(id)
    bytes = bytes + copied
    if there then
      redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
      renewed = renewed + 1
    end
  end
  seen = seen + 1
end
return {renewed, seen}
