--[[
  recordFailedJob(place, job) writes the dead letter of a failed job. The payload is the entry's own while the stream holds it.
  place: stream, deadLetters, group, index. job: hash, origin (entry id or ''), reason, attempts, firstSeen, redrives, payload, altered (the
  payload is not known to be the request), stacktrace.
  Returns nil, or an error reply.

  WRITES
    1 XADD deadLetters   a refusal is returned
    2 SET index          a refusal is passed over
]]
-- @include deadLetter
local function recordFailedJob(place, job)
  local payload, altered = job.payload, job.altered
  if job.origin ~= '' then
    local entry = redis.call('XRANGE', place.stream, job.origin, job.origin)[1]
    if entry then payload, altered = cmsgpack.pack(entry[2]), false end
  end
  return writeDeadLetter(place.deadLetters, {
    originalId = job.origin, stream = place.stream, group = place.group, consumer = '', deliveries = job.attempts,
    reason = 'JobFailed', error = string.sub(job.reason, 1, 1000), payload = payload, idempotencyKey = job.hash,
    firstSeen = job.firstSeen, redrives = job.redrives, stacktrace = job.stacktrace, altered = altered
  }, nil, place.index)
end
