--[[
  jobInTheWay(queue, id, mark) returns the state of a job with this id for a replay. It is nil without a job, and 'finished' where the job
  may be removed. It is 'busy' where the job is not finished or a worker still holds its lock. It is 'foreign:<type>:<key>' where another
  program's key has the name of job, lock or mark: that key blocks the replay for ever.
  mayNotClear(queue, id, mark) returns an error reply where the user may not do what `clearJob` does, or nil.
  clearJob(queue, id, mark, standing) makes way. Returns 'busy' where BullMQ would not remove the job after all, an
  error reply where Redis refused it, else nil.

  WRITES
    1 BullMQ's removal   a refusal leaves the finished job; the next replay removes it
    2 DEL mark           a refusal leaves the mark; the next replay deletes it
]]
-- @include bullRemove
-- @include rights
local function jobInTheWay(queue, id, mark)
  local key = queue .. id
  for _, place in ipairs({{key, 'hash'}, {key .. ':lock', 'string'}, {mark, 'string'}}) do
    local holds = redis.call('TYPE', place[1]).ok
    if holds ~= 'none' and holds ~= place[2] then return 'foreign:' .. holds .. ':' .. place[1] end
  end
  if redis.call('EXISTS', key) == 0 then return nil end
  local finished = redis.call('ZSCORE', queue .. 'completed', id) or redis.call('ZSCORE', queue .. 'failed', id)
  if not finished or redis.call('EXISTS', key .. ':lock') == 1 then return 'busy' end
  return 'finished'
end
local function mayNotClear(queue, id, mark)
  local key = queue .. id
  return forbidden('DEL', mark) or forbidden('DEL', key) or forbidden('ZREM', queue .. 'failed', id)
    or forbidden('XADD', queue .. 'events', '*', 'event', 'removed') or forbidden('SMEMBERS', key .. ':dependencies')
end
local function clearJob(queue, id, mark, standing)
  if standing == 'finished' then
    local removed = bullRemove(queue .. id, id, queue)
    if refused(removed) then return removed end
    if redis.call('EXISTS', queue .. id) == 1 then return 'busy' end
  end
  local deleted = attempt(redis.call, 'DEL', mark)
  return refused(deleted) and deleted or nil
end
