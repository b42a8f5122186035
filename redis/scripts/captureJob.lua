--[[
  Makes a failed job a dead letter and removes it, in one step; where stream and queue are together.

  KEYS
    stream          stream
    deadLetters     stream
    queue           any       prefix of the queue's keys, with its last colon

  ARGV
    id              text      of the job
    finishedOn      text      the failure that is meant; a job that failed again since is left alone
    maxDeadLetters  integer
    group           text
    hash            text      of the idempotency key
    origin          text      id of the entry; empty where it is not known
    reason          text      why the job failed
    attempts        text
    firstSeen       text      ms
    redrives        text
    payload         bytes     MessagePack of field, value, …, where the stream no longer holds the entry

  REPLY
    outcome         integer   0 not this failure any more, 1 recorded and removed, 2 recorded and kept

  WRITES
    1 XADD deadLetters         a refusal is returned; the job stays
    2 HSET job spRecorded      a refusal leaves a second record for the next round; so the right is asked for before
    3 takeJob's (lib/failedJob.lua)   a refusal leaves a job that is known to be recorded
]]
-- @include failedJob
-- @include recordFailedJob
local standing = standingOf(queue, id, finishedOn)
if not standing then return {0} end
local job = queue .. id
if redis.call('HGET', job, 'spRecorded') ~= finishedOn then
  if redis.acl_check_cmd and not redis.acl_check_cmd('HSET', job, 'spRecorded', finishedOn) then
    return redis.error_reply('NOPERM the user may not HSET ' .. job)
  end
  local place = {stream = stream, deadLetters = deadLetters, group = group}
  local refusal = roomForDeadLetter(deadLetters, maxDeadLetters) or recordFailedJob(place, {
    hash = hash, origin = origin, reason = reason, attempts = attempts, firstSeen = firstSeen, redrives = redrives, payload = payload
  })
  if refusal then return refusal end
  redis.call('HSET', job, 'spRecorded', finishedOn)
end
return {takeJob(queue, id, finishedOn, standing)}
