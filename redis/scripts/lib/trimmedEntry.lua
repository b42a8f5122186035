--[[
  deadLetterTrimmed(place, id, minIdleMs) records and lets go of a pending entry that the stream no longer holds.
  place: stream, deadLetters, stats, group, max. Returns what deadLetterEntry returns.

  WRITES
    1 XADD deadLetters            a refusal is returned; the entry stays pending
    2 XACK stream                 a refusal leaves record and pending row; deadLetterEntry asked for the right before
    3 HINCRBY stats               a refusal leaves the ledger one short, until it is rebased
]]
-- @include deadLetterEntry
local function deadLetterTrimmed(place, id, minIdleMs)
  local outcome = deadLetterEntry(place, id, {
    reason = 'Trimmed', error = 'trimmed from the stream while pending', hash = '', redrives = 0, minIdleMs = minIdleMs
  })
  if outcome == 'dead' then
    redis.call('XACK', place.stream, place.group, id)
    redis.call('HINCRBY', place.stats, 'trimmedPending', 1)
  end
  return outcome
end
