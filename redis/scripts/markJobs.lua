--[[
  The portable path, last command of its MULTI: marks the keys whose job is there. A job that the add before it left half-made is marked,
  too: the client withdraws it, and a mark beside an unfinished job is not believed before BullMQ knows where the job is.

  MULTI

  KEYS
    marks       string[]  one per job
    jobs        hash[]
    guards      hash[]    of all jobs that guardJobs looked at

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
]]
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
  end
end
return {made}
