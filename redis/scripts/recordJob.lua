--[[
  Writes the dead letter of a failed job, once per failure; where the queue is elsewhere.

  KEYS
    stream          stream
    deadLetters     stream
    token           string    of this failure: it was recorded

  ARGV
    maxDeadLetters  integer
    group           text
    hash            text      of the idempotency key
    origin          text      id of the entry; empty where it is not known
    reason          text      why the job failed
    attempts        text
    firstSeen       text      ms
    redrives        text
    payload         bytes     MessagePack of field, value, …, where the stream no longer holds the entry
    tokenTtlMs      integer

  REPLY
    recorded        integer   1 now, 0 before

  WRITES
    1 SET token          a refusal leaves nothing
    2 XADD deadLetters   a refusal leaves the token without a record
]]
-- @include recordFailedJob
if redis.call('EXISTS', token) == 1 then return {0} end
local refusal = roomForDeadLetter(deadLetters, maxDeadLetters)
if refusal then return refusal end
redis.call('SET', token, '1', 'PX', tokenTtlMs)
refusal = recordFailedJob({stream = stream, deadLetters = deadLetters, group = group}, {
  hash = hash, origin = origin, reason = reason, attempts = attempts, firstSeen = firstSeen, redrives = redrives, payload = payload
})
return refusal or {1}
