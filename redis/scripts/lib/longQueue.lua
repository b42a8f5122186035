--[[
  isLong(queue) says whether a search of the queue's waiting jobs would cost more than a few others of a script's commands together.
]]
local function isLong(queue) return redis.call('LLEN', queue .. 'wait') + redis.call('LLEN', queue .. 'paused') > 1000 end
