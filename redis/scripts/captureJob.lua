--[[
  Makes a failed job a dead letter and removes it, in one step; where stream and queue are together.

  The first write is the note `spRecorded`, still empty. If Redis refuses it, nothing has happened. If Redis takes the empty note, it
  also takes the full one after the record.

  KEYS
    stream          stream
    deadLetters     stream
    queue           any       prefix of the queue's keys, with its last colon

  ARGV
    id              text      of the job
    finishedOn      text      the failure that is meant; a job that failed again since is left alone
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

  REPLY
    outcome         integer   0 not this failure any more, 1 recorded and removed, 2 recorded and kept

  WRITES
    1 HSET job spRecorded ''   a refusal leaves everything as it was
    2 XADD deadLetters         a refusal is returned; the job stays, and is not noted as recorded
    3 HSET job spRecorded      cannot be refused where 1 was not; were it, the record is deleted again
    4 takeJob's (lib/failedJob.lua)   a refusal leaves a job that is known to be recorded
]]
-- @include failedJob
-- @include recordFailedJob
local standing = standingOf(queue, id, finishedOn)
if not standing then return {0} end
local job = queue .. id
if redis.call('HGET', job, 'spRecorded') ~= finishedOn then
  local refusal = roomForDeadLetter(deadLetters, maxDeadLetters)
  if refusal then return refusal end
  redis.call('HSET', job, 'spRecorded', '')
  local refusedRecord, recorded = recordFailedJob({stream = stream, deadLetters = deadLetters, group = group, index = index}, {
    hash = hash, origin = origin, reason = reason, attempts = attempts, firstSeen = firstSeen, redrives = redrives,
    payload = payload, altered = altered, stacktrace = stacktrace
  })
  if refusedRecord then return refusedRecord end
  local noted = attempt(redis.call, 'HSET', job, 'spRecorded', finishedOn)
  if refused(noted) then
    attempt(redis.call, 'XDEL', deadLetters, recorded)
    return noted
  end
end
local outcome = takeJob(queue, id, finishedOn, standing)
return refused(outcome) and outcome or {outcome}
