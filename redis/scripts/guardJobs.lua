--[[
  The portable path, first command of its MULTI: it blocks the following adds for keys that were marked since the last look. A forwarder may
  have stalled for longer than its lock lives. Another forwarder's job of the key may then have come, run and gone. So this script
  writes a hash where the job would be. BullMQ's add takes the hash for the job, and adds nothing. markJobs removes the hash in
  the same MULTI, so no client sees it. The script need not check the lock: a forwarder that adds also marks in the same step, and
  this script finds the mark.

  MULTI

  KEYS
    marks     string[]  one per job that is to be added
    jobs      hash[]

  REPLY
    guarded   integer[] per job: 1 where it must not be added

  WRITES
    1 HSET job spGuard, per marked job   a refusal leaves the rest unguarded; a guard that markJobs misses is a job in no list,
                                         which the next attempt removes
]]
local guarded = {}
for i = 1, #jobs do
  guarded[i] = redis.call('EXISTS', marks[i])
  if guarded[i] == 1 and redis.call('EXISTS', jobs[i]) == 0 then redis.call('HSET', jobs[i], 'spGuard', '1') end
end
return {guarded}
