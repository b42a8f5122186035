--[[
  Acknowledges entries and dead-letters others, in one step. A dead letter is written only for an entry that is still pending.

  KEYS
    stream           stream
    deadLetters      stream
    stats            hash      the ledger

  ARGV
    group            text
    maxDeadLetters   integer   records that the dead-letter stream may hold
    acknowledged     text[]    ids
    letters          rows      entries to dead-letter
      .id            text
      .reason        text
      .error         text
      .hash          text      of the idempotency key; empty where none could be derived
      .redrives      integer
      .minIdleMs     integer   leave alone what is not idle for so long …
      .minDeliveries integer   … or was delivered less often

  REPLY
    acknowledged     integer   entries that XACK removed, dead letters included
    outcomes         text[]    per letter: dead, gone, or the server's refusal of its record

  WRITES
    1 XADD deadLetters, per letter   a refusal leaves that entry pending; the others are settled
    2 XACK stream                    a refusal leaves everything pending; records that were written are written again
    3 HINCRBY stats settled, dead    a refusal leaves the ledger short, until it is rebased
]]
-- @include deadLetterEntry
local place = {stream = stream, deadLetters = deadLetters, group = group, max = maxDeadLetters}
local outcomes, recorded = {}, 0
for id, reason, failure, hash, redrives, minIdleMs, minDeliveries in letters do
  local outcome = deadLetterEntry(place, id, {
    reason = reason, error = failure, hash = hash, redrives = redrives, minIdleMs = minIdleMs, minDeliveries = minDeliveries
  })
  if outcome == 'dead' then
    acknowledged[#acknowledged + 1] = id
    recorded = recorded + 1
  end
  outcomes[#outcomes + 1] = refused(outcome) or outcome
end
local settled = 0
if #acknowledged > 0 then
  settled = redis.call('XACK', stream, group, unpack(acknowledged))
  if settled > 0 then redis.call('HINCRBY', stats, 'settled', settled) end
  if recorded > 0 then redis.call('HINCRBY', stats, 'dead', recorded) end
end
return {settled, outcomes}
