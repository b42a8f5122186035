--[[
  waitingJobs(queue) counts the jobs that wait for a worker: the wait list and the prioritised set.
]]
local function waitingJobs(queue)
  return redis.call('LLEN', queue .. 'wait') + redis.call('ZCARD', queue .. 'prioritized')
end
