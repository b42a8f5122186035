--[[
  wrongType(key, expected) and wrongQueueKey(queue) return an error reply, or nil. A script error does not roll back: a key of
  another type would leave a job hash in no list, and a rerun would take it for success. So types are checked before the first write.
  `queue` is the prefix of the queue's keys, with its last colon.
]]
local function wrongType(key, expected)
  local actual = redis.call('TYPE', key).ok
  if actual == 'none' or actual == expected then return nil end
  return redis.error_reply('WRONGTYPE ' .. key .. ' holds a ' .. actual .. ', not a ' .. expected)
end
local queueKeyTypes = {
  -- @table queueKeyTypes
}
local function wrongQueueKey(queue)
  for part, expected in pairs(queueKeyTypes) do
    local wrong = wrongType(queue .. part, expected)
    if wrong then return wrong end
  end
  return nil
end
