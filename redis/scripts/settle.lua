--[[
  Acknowledges entries and dead-letters others, in one step. A dead letter is written only for an entry that is still pending.

  KEYS
    stream           stream
    deadLetters      stream
    stats            hash      the ledger

  ARGV
    group            text
    maxDeadLetters   integer   records that the dead-letter stream may hold
    duplicates       integer   how many of `acknowledged` had been forwarded before
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
    outcomes         text[]    per letter: dead, gone, the server's refusal of its record, or later: this call has copied enough

  WRITES
    1 XADD deadLetters, per letter   a refusal leaves that entry pending; the others are settled
    2 acknowledge's (lib/settled.lua)   a refusal leaves everything pending; the records are deleted again, if that is
                                        not refused as well
]]
-- @include deadLetterEntry
-- @include settled
-- @include clock
-- @include queueKeys
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local wrong = wrongType(stream, 'stream') or wrongType(stats, 'hash')
if wrong then return wrong end
local now = serverNow()
local pending = createLetters(place)
local decided = {}
for id, reason, failure, hash, redrives, minIdleMs, minDeliveries in letters() do
  -- Payloads are copied: a call ends at about a MiB of them.
  local outcome = pending.bytes() > 1048576 and 'later' or pending.decide(id, {
    reason = reason, error = failure, hash = hash, redrives = redrives, minIdleMs = minIdleMs, minDeliveries = minDeliveries
  })
  decided[#decided + 1] = {id, outcome}
end
local recorded, refusals = pending.write(now)
local ids = {}
for i, id in ipairs(acknowledged) do ids[i] = id end
for _, id in ipairs(recorded) do ids[#ids + 1] = id end
local settled = 0
if #ids > 0 then
  settled = acknowledge(place, ids, #recorded, duplicates)
  if refused(settled) then
    pending.undo()
    return settled
  end
end
local outcomes = {}
for i, decision in ipairs(decided) do
  local outcome = refusals[decision[1]] or decision[2]
  outcomes[i] = refused(outcome) or outcome
end
return {settled, outcomes}
