--[[
  bullRemove(job, id, queue) removes a job as BullMQ does. Returns 1 when it did, nil where BullMQ's script is not known, or an error
  reply.

  WRITES
    1 BullMQ's removal   a refusal half-way is returned; a finished job that had left its set by then is put back
]]
-- @include replies
local function bullRemove(job, id, queue)
  local function remove(KEYS, ARGV)
    -- @bullmq remove
  end
  local set, score = nil, nil
  for _, name in ipairs({'completed', 'failed'}) do
    local found = redis.call('ZSCORE', queue .. name, id)
    if found then set, score = queue .. name, found end
  end
  local removed = attempt(remove, {job, queue .. 'repeat'}, {id, '0', queue})
  if refused(removed) and set and redis.call('EXISTS', job) == 1 and not redis.call('ZSCORE', set, id) then
    attempt(redis.call, 'ZADD', set, score, id)
  end
  return removed
end
