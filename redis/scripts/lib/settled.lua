--[[
  acknowledge(place, ids, recorded) acknowledges entries and counts them in the ledger; `recorded` of them are dead letters. Returns
  how many XACK removed, or an error reply, and then nothing was acknowledged. place: stream, stats, group.

  WRITES
    1 XACK stream                   a refusal is returned
    2 HINCRBY stats settled, dead   a refusal (a count that is no number) ends that ledger: without `base` the next audit begins another
]]
-- @include replies
local function acknowledge(place, ids, recorded)
  local acknowledged = attempt(redis.call, 'XACK', place.stream, place.group, unpack(ids))
  if refused(acknowledged) then return acknowledged end
  local function count(field, number)
    if number > 0 and refused(attempt(redis.call, 'HINCRBY', place.stats, field, number)) then
      attempt(redis.call, 'HDEL', place.stats, field, 'base')
    end
  end
  count('settled', acknowledged)
  count('dead', recorded)
  return acknowledged
end
