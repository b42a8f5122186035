--[[
  createBullAdd(queue, addKeys, requestCopy) adds jobs by BullMQ's own text, one by one. `queue` is the prefix of the queue's keys, with its
  last colon; addKeys are those of BullMQ's add; requestCopy: jobs keep their data as it came.
  adder.add(id, key, add, data, options) takes the job's key and the three arguments of BullMQ's add. It returns nil, 'rejected:<why>' or an error reply: then
  nothing of the job is left.
  adder.finish() has nothing to do.
  adder.withdraw(id) removes a job again.

  WRITES
    1 BullMQ's add         a refusal is returned; the half of a job that it left is removed again
    2 HSET job spAdded, spRequest   a refusal is returned; the job is removed again
]]
-- @include replies
-- @include forgetJob
local function bullAdd(KEYS, ARGV)
  -- @bullmq add
end
local function createBullAdd(queue, addKeys, requestCopy)
  local call = redis.call
  -- Where there is no hash, the add wrote nothing, and this must write nothing either: Redis refuses for want of memory only until a
  -- script has written, and the next entry would then be added without memory. The hash goes last: as long as it is there, the next
  -- attempt knows that something was left.
  local function clear(id)
    if call('EXISTS', queue .. id) == 0 then return end
    -- It is at one end of the list, or was never pushed: then LREM would go through all of it.
    for _, rank in ipairs({1, -1}) do
      if call('LPOS', queue .. 'wait', id, 'RANK', rank, 'MAXLEN', 1000) then call('LREM', queue .. 'wait', rank, id) end
    end
    for _, set in ipairs({'delayed', 'prioritized'}) do call('ZREM', queue .. set, id) end
    forgetJob(queue .. id)
  end
  local adder = {}
  function adder.withdraw(id) attempt(clear, id) end
  function adder.finish() return nil end
  function adder.add(id, key, add, data, options)
    local result = attempt(bullAdd, addKeys, {add, data, options})
    if type(result) == 'number' and result < 0 then return 'rejected:BullMQ refused to add the job, code ' .. result end
    if not refused(result) and type(result) ~= 'string' then result = {err = 'ERR BullMQ added nothing'} end
    if not refused(result) then
      if requestCopy then result = send('HSET', key, 'spAdded', '1', 'spRequest', data)
      else result = send('HSET', key, 'spAdded', '1') end
    end
    if not refused(result) then return nil end
    adder.withdraw(id)
    return result
  end
  return adder
end
