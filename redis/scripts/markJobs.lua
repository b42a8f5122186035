--[[
  The portable path, last command of its MULTI: marks the keys whose job is there. A job that the add before it left half-made is marked,
  too: the client withdraws it, and a mark beside an unfinished job is not believed before BullMQ knows where the job is. A job that is where
  the add has put it gets a note of that (lib/forwardJob.lua), and BullMQ need not be asked.

  MULTI

  KEYS
    marks       string[]  one per job
    jobs        hash[]
    guards      hash[]    of all jobs that guardJobs looked at
    queue       any       prefix of the queue's keys, with its last colon

  ARGV
    windowMs    integer   life of a mark
    requestCopy flag      jobs keep their data as it came, beside what workers may change
    origins     text[]    per job: id of the stream entry, or direct

  REPLY
    made        integer[] per job: 1 where it is there, 2 where it was guarded

  WRITES
    DEL job, per guard      a refusal leaves a job in no list, which the client withdraws
    per job:
    1 SET mark            a refusal leaves a job without a mark; the client withdraws it
    2 HSET job spRequest  a refusal leaves a job without its copy; the client withdraws it
    3 HSET job spAdded    a refusal leaves a job without the note; BullMQ is then asked for the job's state
]]
-- @include replies
-- The adds before it put each job at an end of a list, or into a set.
local function placedJobs()
  local placed = {}
  if #jobs == 0 then return placed end
  for _, list in ipairs({'wait', 'paused'}) do
    for _, range in ipairs({{0, #jobs - 1}, {-#jobs, -1}}) do
      for _, id in ipairs(redis.call('LRANGE', queue .. list, range[1], range[2])) do placed[queue .. id] = true end
    end
  end
  for _, set in ipairs({'delayed', 'prioritized'}) do
    for _, job in ipairs(jobs) do
      if not placed[job] and redis.call('ZSCORE', queue .. set, string.sub(job, #queue + 1)) then placed[job] = true end
    end
  end
  return placed
end
local placed = attempt(placedJobs)
if refused(placed) then placed = {} end
local made, guarded = {}, {}
for _, job in ipairs(guards) do
  if redis.call('HGET', job, 'spGuard') then
    redis.call('DEL', job)
    guarded[job] = true
  end
end
for i = 1, #jobs do
  made[i] = guarded[jobs[i]] and 2 or redis.call('EXISTS', jobs[i])
  if made[i] == 1 then
    redis.call('SET', marks[i], origins[i], 'PX', windowMs)
    -- In the step that made the job, so that no worker has seen it yet.
    if requestCopy and not redis.call('HGET', jobs[i], 'spRequest') then
      redis.call('HSET', jobs[i], 'spRequest', redis.call('HGET', jobs[i], 'data') or '')
    end
    if placed[jobs[i]] then send('HSET', jobs[i], 'spAdded', '1') end
  end
end
return {made}
