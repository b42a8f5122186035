--[[
  deadLetterTrimmed(place, id, now, minIdleMs, row) records and lets go of a pending entry that the stream no longer holds.
  place: stream, deadLetters, stats, group, max. row: its pending row, where it is known. Returns 'dead', 'gone' or an error reply.

  WRITES
    1 XADD deadLetters                 a refusal is returned; the entry stays pending
    2 HINCRBY stats trimmedPending     a refusal is returned, and the record is deleted again
    3 XACK stream                      a refusal is returned; count and record are taken back
]]
-- @include deadLetterEntry
local function deadLetterTrimmed(place, id, now, minIdleMs, row)
  local letters = createLetters(place)
  local outcome = letters.decide(id, {
    reason = 'Trimmed', error = 'trimmed from the stream while pending', hash = '', redrives = 0, minIdleMs = minIdleMs
  }, row)
  if outcome ~= 'dead' then return outcome end
  local _, refusals = letters.write(now)
  if refusals[id] then return refusals[id] end
  local function count(number) return attempt(redis.call, 'HINCRBY', place.stats, 'trimmedPending', number) end
  local counted = count(1)
  if refused(counted) and not tonumber(redis.call('HGET', place.stats, 'trimmedPending') or '0') then
    attempt(redis.call, 'HDEL', place.stats, 'trimmedPending', 'base')
    counted = count(1)
  end
  local acknowledged = refused(counted) and counted or attempt(redis.call, 'XACK', place.stream, place.group, id)
  if refused(acknowledged) then
    if not refused(counted) then count(-1) end
    letters.undo()
    return acknowledged
  end
  return outcome
end
