--[[
  acknowledge(place, ids, recorded, duplicates) acknowledges entries and counts them in the ledger. `recorded` of them are dead letters,
  `duplicates` had been forwarded before, and the others became jobs. It returns how many XACK removed, or an error reply when it
  acknowledged nothing. place: stream, stats, group.

  Counting comes first, since a count can be taken back and an acknowledgement cannot. Out of memory the order is reversed: Redis then
  accepts XACK, and after it the counts.

  Entries that another consumer has acknowledged are subtracted from the count of duplicates first: that consumer had forwarded
  them.

  WRITES
    1 HINCRBY stats settled, dead, duplicates, forwarded
                                    a refusal is returned, and the counts before it are taken back; a count that is no number is dropped
                                    with `base`: the next audit begins anew
    2 XACK stream                   a refusal is returned, and the counts are taken back
    3 HINCRBY stats settled, duplicates, forwarded
                                    only where another consumer had acknowledged some; a refusal leaves the ledger off by these
]]
-- @include replies
local function acknowledge(place, ids, recorded, duplicates)
  local function count(field, number)
    if number == 0 then return 0 end
    local counted = attempt(redis.call, 'HINCRBY', place.stats, field, number)
    if not refused(counted) then return counted end
    local held = redis.call('HGET', place.stats, field)
    if not held or string.match(held, '^%-?%d+$') and #held < 16 then return counted end
    attempt(redis.call, 'HDEL', place.stats, field, 'base')
    return attempt(redis.call, 'HINCRBY', place.stats, field, number)
  end
  local forwarded = #ids - recorded - duplicates
  local counts = {{'settled', #ids}, {'dead', recorded}, {'duplicates', duplicates}, {'forwarded', forwarded}}
  local function takeBack(last)
    for i = 1, last do count(counts[i][1], -counts[i][2]) end
  end
  local later = false
  for i, each in ipairs(counts) do
    local counted = count(each[1], each[2])
    if refused(counted) then
      later = i == 1 and string.sub(counted.err, 1, 3) == 'OOM'
      if later then break end
      takeBack(i - 1)
      return counted
    end
  end
  local acknowledged = attempt(redis.call, 'XACK', place.stream, place.group, unpack(ids))
  if refused(acknowledged) then
    if not later then takeBack(#counts) end
    return acknowledged
  end
  local short = #ids - acknowledged
  local fewer = math.min(short, duplicates)
  if later then
    count('settled', acknowledged)
    count('dead', recorded)
    count('duplicates', duplicates - fewer)
    count('forwarded', forwarded - (short - fewer))
  else
    count('settled', -short)
    count('duplicates', -fewer)
    count('forwarded', fewer - short)
  end
  return acknowledged
end
