--[[
  The queue as a script that adds jobs finds it, by few commands: each of them costs about a tenth of a job.

  readQueue(queue) returns a table:
    waiting     jobs that wait, for a worker or for their time
    held        heldQueue's (queueKeys.lua)
    maxEvents   opts.maxLenEvents of meta, or false
    paused      of meta, or false
    concurrency of meta, or false
  It raises where a key that it reads holds something else. `readParts` are these keys: their types need no check of their own, which
  would be one more command for each.

  wrongWhileReading(read, wrongKey) runs `read`, which only reads. It returns nil, or, where that raised, the wrong type that wrongKey()
  finds, as an error reply. Any other error it raises.
]]
-- @include queueKeys
local readParts = {wait = true, paused = true, prioritized = true, delayed = true, meta = true}
local function readQueue(queue)
  local call = redis.call
  local moved = call('LLEN', queue .. 'paused')
  local waiting = call('LLEN', queue .. 'wait') + moved + call('ZCARD', queue .. 'prioritized') + call('ZCARD', queue .. 'delayed')
  local meta = call('HMGET', queue .. 'meta', 'opts.maxLenEvents', 'paused', 'concurrency', 'version')
  local held = holdOf(queue, moved > 0, meta[2], meta[4])
  return {waiting = waiting, held = held, maxEvents = meta[1], paused = meta[2], concurrency = meta[3]}
end
local function wrongWhileReading(read, wrongKey)
  if pcall(read) then return nil end
  local wrong = wrongKey()
  -- Again, so that the error reaches the caller as Redis wrote it.
  if not wrong then read() end
  return wrong
end
