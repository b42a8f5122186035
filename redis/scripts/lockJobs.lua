--[[
  The portable path, first step: locks keys, and looks at their marks and jobs.

  KEYS
    locks         string[]  one per key
    marks         string[]
    jobs          hash[]    BullMQ's job of each key

  ARGV
    token         text      whose lock it is
    lockTtlMs     integer
    queue         text      prefix of the queue's keys, with its last colon

  REPLY
    waiting       integer   jobs that wait, for a worker or for their time
    now           integer   server time, ms
    held          text      why the queue takes no jobs now (lib/queueKeys.lua); empty when it does
    standings     rows      per key
      .locked     flag      ours now
      .marked     flag
      .foreign    text      its key of a wrong type, and that type; empty: all are right
      .holds      text      type of the job's key
      .timestamp  text      of the job; empty where it has none
      .finishedOn text
      .added      flag    the job is in a list of the queue by its own note, and searching the list costs too much (lib/forwardJob.lua)

  WRITES
    1 SET lock NX, per key   a refusal leaves the locks before it, which expire. A lock without expiry has no holder, since ours
                             expire: the script gives it an expiry
]]
-- @include queueKeys
-- @include replies
-- @include waitingJobs
-- @include longQueue
-- @include clock
local wrong = wrongQueueKey(queue)
if wrong then return wrong end
-- The type of a key, and the report where it is wrong.
local function typed(key, expected, what)
  local holds = redis.call('TYPE', key).ok
  if holds == 'none' or holds == expected then return holds, nil end
  return holds, 'key ' .. key .. ' holds a ' .. holds .. ', not a ' .. what
end
local function lockFor(key)
  if redis.call('SET', key, token, 'PX', lockTtlMs, 'NX') then return 1, nil end
  local _, foreign = typed(key, 'string', 'lock')
  if not foreign and redis.call('PTTL', key) == -1 then redis.call('SET', key, redis.call('GET', key), 'PX', lockTtlMs) end
  return 0, foreign
end
local standings, long = {}, isLong(queue)
for i = 1, #locks do
  local locked, foreignLock = lockFor(locks[i])
  local marked, foreignMark = typed(marks[i], 'string', 'mark')
  local holds, foreignJob = typed(jobs[i], 'hash', 'job')
  local job, foreignHold = {}, nil
  if holds == 'hash' then
    job = redis.call('HMGET', jobs[i], 'timestamp', 'finishedOn', 'spAdded')
    if job[2] then foreignHold = select(2, typed(jobs[i] .. ':lock', 'string', 'lock')) end
  end
  -- A marked key is settled, whatever key has the name of its job.
  local foreign = foreignMark or marked == 'none' and (foreignJob or foreignHold or foreignLock)
  standings[i] = {locked, marked == 'string' and 1 or 0, foreign or '', holds, job[1] or '', job[2] or '', job[3] == '1' and long and 1 or 0}
end
return {waitingJobs(queue), digits(serverNow()), refused(heldQueue(queue)) or '', standings}
