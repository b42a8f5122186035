--[[
  The portable path, last command of its MULTI. The MULTI has marked every key before its add; this takes the mark back where no job
  was made. So whichever command of the MULTI is refused, a job has its mark: without one it might run, go, and be made again.

  MULTI

  KEYS
    marks       string[]  one per job
    jobs        hash[]

  ARGV
    windowMs    integer   life of a mark
    requestCopy flag      jobs keep their data as it came, beside what workers may change
    origins     text[]    per job: id of the stream entry, or direct

  REPLY
    made        integer[] per job: 1 where it is there

  WRITES
    per job:
    1 SET mark            of a job that is there; a refusal leaves the mark that the MULTI has written
    2 HSET job spRequest  a refusal leaves a job without its copy
    3 DEL mark            of a job that is not there; a refusal leaves a mark without a job, only where the add was refused as well
]]
local made = {}
for i = 1, #jobs do
  made[i] = redis.call('EXISTS', jobs[i])
  if made[i] == 1 then
    redis.call('SET', marks[i], origins[i], 'PX', windowMs)
    -- In the step that made the job, so that no worker has seen it yet.
    if requestCopy and not redis.call('HGET', jobs[i], 'spRequest') then
      redis.call('HSET', jobs[i], 'spRequest', redis.call('HGET', jobs[i], 'data') or '')
    end
  else
    redis.call('DEL', marks[i])
  end
end
return {made}
