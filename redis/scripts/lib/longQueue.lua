--[[
  isLong(queue) says whether more than 1,000 jobs wait in the queue. To search so many costs more than several other commands of a script.
]]
local function isLong(queue) return redis.call('LLEN', queue .. 'wait') + redis.call('LLEN', queue .. 'paused') > 1000 end
