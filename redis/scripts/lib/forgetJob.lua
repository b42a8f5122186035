--[[
  forgetJob(key) deletes the hash of a job that is in no list. Where that is refused, the job's note that it is in one (spAdded) is taken
  back: in a long queue the note alone decides (lib/forwardJob.lua), and the job would count as a waiting one. Every add needs the
  right to HSET.

  WRITES
    1 DEL job            a refusal is followed by 2
    2 HSET job spAdded   a refusal leaves the note
]]
-- @include replies
local function forgetJob(key)
  if refused(send('DEL', key)) then send('HSET', key, 'spAdded', '') end
end
