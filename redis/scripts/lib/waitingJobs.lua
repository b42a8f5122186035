--[[
  waitingJobs(queue) counts the jobs that wait, for a worker or for their time: all of them take memory.
]]
local function waitingJobs(queue)
  return redis.call('LLEN', queue .. 'wait') + redis.call('LLEN', queue .. 'paused') +
    redis.call('ZCARD', queue .. 'prioritized') + redis.call('ZCARD', queue .. 'delayed')
end
