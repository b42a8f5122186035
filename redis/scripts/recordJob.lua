--[[
  Writes the dead letter of a failed job, once per failure; where the queue is elsewhere.

  The token is first written empty, which means that nothing is recorded yet. If Redis refuses it, nothing has happened. If Redis takes
  the empty token, it also takes the full one after the record.

  KEYS
    stream          stream
    deadLetters     stream
    token           string    of this failure: it was recorded; empty means that it was not

  ARGV
    maxDeadLetters  integer
    group           text
    index           text      what the keys of the index begin with (lib/deadLetter.lua)
    hash            text      of the idempotency key
    origin          text      id of the entry; empty where it is not known
    reason          text      why the job failed
    attempts        text
    firstSeen       text      ms
    redrives        text
    payload         bytes     MessagePack of field, value, …, where the stream no longer holds the entry
    altered         flag      the payload is not known to be the request as it came
    stacktrace      text      of the failure
    tokenTtlMs      integer

  REPLY
    recorded        integer   1 now, 0 before

  WRITES
    1 SET token ''       a refusal leaves nothing
    2 XADD deadLetters   a refusal is returned, and leaves an empty token: the next round records
    3 SET token          cannot be refused where 1 was not; were it, the record is deleted again
]]
-- @include recordFailedJob
local known = redis.call('GET', token)
if known and known ~= '' then return {0} end
local refusal = roomForDeadLetter(deadLetters, maxDeadLetters)
if refusal then return refusal end
redis.call('SET', token, '', 'PX', tokenTtlMs)
local refusedRecord, recorded = recordFailedJob({stream = stream, deadLetters = deadLetters, group = group, index = index}, {
  hash = hash, origin = origin, reason = reason, attempts = attempts, firstSeen = firstSeen, redrives = redrives,
  payload = payload, altered = altered, stacktrace = stacktrace
})
if refusedRecord then return refusedRecord end
local noted = attempt(redis.call, 'SET', token, '1', 'PX', tokenTtlMs)
if refused(noted) then
  attempt(redis.call, 'XDEL', deadLetters, recorded)
  return noted
end
return {1}
