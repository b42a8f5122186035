--[[
  wrongType(key, expected) and wrongQueueKey(queue) return an error reply, or nil. A script error does not roll back: a key of
  another type would leave a job hash in no list, and a rerun would take it for success. So types are checked before the first write.
  `queue` is the prefix of the queue's keys, with its last colon.

  heldQueue(queue) returns an error reply while a BullMQ before 6 has paused the queue, or nil. Those move the waiting jobs to
  `paused` and rename the list back when they resume: a job that was added to `wait` in between would be in no list.
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
local function heldQueue(queue)
  local held = redis.call('EXISTS', queue .. 'paused') == 1
  if not held then
    local meta = redis.call('HMGET', queue .. 'meta', 'paused', 'version')
    held = meta[1] and meta[2] and string.match(meta[2], '^bullmq[%w-]*:[0-5]%.') ~= nil
  end
  return held and redis.error_reply('QUEUEHELD ' .. queue .. ' is paused by a BullMQ before version 6') or nil
end
