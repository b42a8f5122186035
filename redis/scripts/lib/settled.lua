--[[
  acknowledge(place, ids, recorded) acknowledges entries and counts them in the ledger; `recorded` of them are dead letters. Returns
  how many XACK removed, or an error reply, and then nothing was acknowledged. place: stream, stats, group.

  Counted is first, since a count can be taken back and an acknowledgement cannot. Without memory it is the other way round: Redis
  takes XACK then, and after it the count.

  WRITES
    1 HINCRBY stats settled, dead   a refusal is returned; a count that is no number is dropped with `base`: the next audit begins anew
    2 XACK stream                   a refusal is returned, and the counts are taken back
    3 HINCRBY stats settled         only where other hands had acknowledged some; a refusal leaves the ledger off by these
]]
-- @include replies
local function acknowledge(place, ids, recorded)
  local function count(field, number)
    if number == 0 then return 0 end
    local counted = attempt(redis.call, 'HINCRBY', place.stats, field, number)
    if not refused(counted) then return counted end
    local held = redis.call('HGET', place.stats, field)
    if not held or string.match(held, '^%-?%d+$') and #held < 16 then return counted end
    attempt(redis.call, 'HDEL', place.stats, field, 'base')
    return attempt(redis.call, 'HINCRBY', place.stats, field, number)
  end
  local settled = count('settled', #ids)
  local later = refused(settled) and string.sub(settled.err, 1, 3) == 'OOM'
  if refused(settled) and not later then return settled end
  local dead = later and 0 or count('dead', recorded)
  local acknowledged = refused(dead) and dead or attempt(redis.call, 'XACK', place.stream, place.group, unpack(ids))
  if refused(acknowledged) then
    if not later then count('settled', -#ids) end
    if not later and not refused(dead) then count('dead', -recorded) end
    return acknowledged
  end
  if later then
    count('settled', acknowledged)
    count('dead', recorded)
  else
    count('settled', acknowledged - #ids)
  end
  return acknowledged
end
