--[[
  clearJob(queue, id, mark) makes way for a replay. Returns 'busy' while a job of this id is not finished, or cannot be removed;
  nil when neither job nor mark stands in the way any more.

  WRITES
    1 BullMQ's removal   a refusal leaves the finished job; the next replay removes it
    2 DEL mark           a refusal leaves the mark; the next replay deletes it
]]
-- @include bullRemove
local function clearJob(queue, id, mark)
  local key = queue .. id
  if redis.call('EXISTS', key) == 1 then
    local finished = redis.call('ZSCORE', queue .. 'completed', id) or redis.call('ZSCORE', queue .. 'failed', id)
    if not finished then return 'busy' end
    bullRemove(key, id, queue)
    if redis.call('EXISTS', key) == 1 then return 'busy' end
  end
  redis.call('DEL', mark)
  return nil
end
