--[[
  forgetJob(key) deletes the hash of a job that is in no list. Where that is refused, the job's note that it is in one (spAdded) is taken
  back: by the note a long queue would take the job for one that waits. Every add needs the right to HSET.

  WRITES
    1 DEL job            a refusal is followed by 2
    2 HSET job spAdded   a refusal leaves the note
]]
-- @include replies
local function forgetJob(key)
  if refused(send('DEL', key)) then send('HSET', key, 'spAdded', '') end
end
