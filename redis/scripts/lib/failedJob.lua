--[[
  standingOf(queue, id, finishedOn) says how a failed job stands: nil when it is not failed any more, failed again since, or recorded
  and kept; 'related' when it has a parent or children, since removing a failed child releases its parent; else 'free'.
  takeJob(queue, id, finishedOn, standing) removes a free job, and notes in every other that it was recorded. Returns 1 removed,
  2 kept, or an error reply.

  WRITES
    1 BullMQ's removal           a refusal is returned and leaves the job, which the caller has noted as recorded
    2 HSET job spCaptured        a refusal leaves a job that is looked at again
]]
-- @include bullRemove
local function standingOf(queue, id, finishedOn)
  if not redis.call('ZSCORE', queue .. 'failed', id) then return nil end
  local job = redis.call('HMGET', queue .. id, 'finishedOn', 'spCaptured', 'parentKey')
  if job[1] ~= finishedOn or job[2] == finishedOn then return nil end
  local related = job[3] or redis.call('EXISTS', queue .. id .. ':dependencies', queue .. id .. ':processed') > 0
  return related and 'related' or 'free'
end
local function takeJob(queue, id, finishedOn, standing)
  local key = queue .. id
  local removed = standing == 'free' and bullRemove(key, id, queue)
  if removed == 1 or refused(removed) then return removed end
  redis.call('HSET', key, 'spCaptured', finishedOn)
  return 2
end
