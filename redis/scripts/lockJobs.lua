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
      .holds      text      type of the job's key
      .timestamp  text      of the job; empty where it has none
      .finishedOn text

  WRITES
    1 SET lock NX, per key   a refusal leaves the locks before it, which expire
]]
-- @include queueKeys
-- @include replies
-- @include waitingJobs
-- @include clock
local wrong = wrongQueueKey(queue)
if wrong then return wrong end
local standings = {}
for i = 1, #locks do
  local locked = redis.call('SET', locks[i], token, 'PX', lockTtlMs, 'NX') and 1 or 0
  local holds = redis.call('TYPE', jobs[i]).ok
  local job = holds == 'hash' and redis.call('HMGET', jobs[i], 'timestamp', 'finishedOn') or {}
  standings[i] = {locked, redis.call('EXISTS', marks[i]), holds, job[1] or '', job[2] or ''}
end
return {waitingJobs(queue), digits(serverNow()), refused(heldQueue(queue)) or '', standings}
