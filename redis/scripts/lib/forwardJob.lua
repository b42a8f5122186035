--[[
  forwardJob(queue, windowMs, now, job) makes one job unless its key has one. Returns 'forwarded', 'duplicate' or 'rejected:<why>'.
  job: id, mark (key), origin, BullMQ's own keys and arguments of its add, and requestCopy: whether the job keeps its data as it came.

  - A mark makes it a duplicate.
  - A job without a mark: finished within the window, or still in one of the queue's lists, it is a duplicate, and the mark is written
    again for the rest of the window. Finished and older, it makes way. In no list, it is what an aborted add left behind, and is
    added anew: taking it for success would lose the work.
  - A job's key that holds something else rejects this one entry: an error would stop its whole batch for ever.

  WRITES
    1 BullMQ's removal, DEL job   of a job that makes way; a refusal leaves a job that makes way again
    2 BullMQ's add                a refusal half-way leaves a job in no list, without a mark: it is added anew
    3 HSET job spRequest          a refusal leaves a job without its copy: it stands for the mark
    4 SET mark                    a refusal leaves the job: it stands for the mark
]]
-- @include bullRemove
local function bullAdd(KEYS, ARGV)
  -- @bullmq add
end
local function inQueue(queue, id)
  for _, list in ipairs({'wait', 'active', 'paused'}) do
    if redis.call('LPOS', queue .. list, id) then return true end
  end
  for _, set in ipairs({'delayed', 'prioritized', 'waiting-children', 'failed', 'completed'}) do
    if redis.call('ZSCORE', queue .. set, id) then return true end
  end
  return false
end
local function forwardJob(queue, windowMs, now, job)
  local key = queue .. job.id
  if redis.call('EXISTS', job.mark, key) > 0 then
    if redis.call('EXISTS', job.mark) == 1 then return 'duplicate' end
    local holds = redis.call('TYPE', key).ok
    if holds ~= 'hash' then return 'rejected:key ' .. key .. ' holds a ' .. holds .. ', not a job' end
    local known = redis.call('HMGET', key, 'timestamp', 'finishedOn')
    local remaining = tonumber(known[1] or known[2] or 0) + windowMs - now
    if known[2] and remaining <= 0 then
      bullRemove(key, job.id, queue)
      -- What BullMQ would not remove (a lock left behind) must not be taken for the job that is added now.
      redis.call('DEL', key)
    elseif known[2] or inQueue(queue, job.id) then
      redis.call('SET', job.mark, job.origin, 'PX', math.max(1000, math.ceil(remaining)))
      return 'duplicate'
    else
      redis.call('DEL', key)
    end
  end
  local added = bullAdd(job.addKeys, job.addArguments)
  if type(added) == 'number' and added < 0 then return 'rejected:BullMQ refused to add the job, code ' .. added end
  if job.requestCopy then redis.call('HSET', key, 'spRequest', job.addArguments[2]) end
  redis.call('SET', job.mark, job.origin, 'PX', windowMs)
  return 'forwarded'
end
