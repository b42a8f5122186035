--[[
  The portable path, first command of its MULTI: keeps the adds behind it from keys that have been marked since they were looked at.
  A forwarder may have stood still for longer than its lock lives, and somebody else's job of the key may have come, run and gone. A
  hash is put in the place of the job: BullMQ's add takes it for the job and adds nothing. markJobs takes it away again, so nobody
  ever sees it. The lock need not be asked: who adds marks in the same step, and finds the mark here.

  MULTI

  KEYS
    marks     string[]  one per job that is to be added
    jobs      hash[]

  REPLY
    guarded   integer[] per job: 1 where it must not be added

  WRITES
    1 HSET job spGuard, per marked job   a refusal leaves the rest unguarded; one that markJobs does not reach is a job in no list,
                                         which makes way at the next attempt
]]
local guarded = {}
for i = 1, #jobs do
  guarded[i] = redis.call('EXISTS', marks[i])
  if guarded[i] == 1 and redis.call('EXISTS', jobs[i]) == 0 then redis.call('HSET', jobs[i], 'spGuard', '1') end
end
return {guarded}
