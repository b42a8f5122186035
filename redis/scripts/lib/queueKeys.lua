--[[
  wrongType(key, expected) and wrongQueueKey(queue, but) return an error reply, or nil. A script error does not roll back: a key of
  another type would leave a job hash in no list, and a rerun would take it for success. So types are checked before the first write.
  `queue` is the prefix of the queue's keys, with its last colon; but: a table whose members name
  keys that need no check; default none.

  heldQueue(queue) returns an error reply while a BullMQ before 6 has paused the queue, or nil. Those move the waiting jobs to
  `paused` and rename the list back when they resume: a job that was added to `wait` in between would be in no list.
  holdOf(queue, moved, paused, version) is the same for a caller that has read these values already. moved: whether the list
  `paused` exists; paused and version: fields of `meta`.
]]
local function wrongType(key, expected)
  local actual = redis.call('TYPE', key).ok
  if actual == 'none' or actual == expected then return nil end
  return redis.error_reply('WRONGTYPE ' .. key .. ' holds a ' .. actual .. ', not a ' .. expected)
end
local queueKeyTypes = {
  -- @table queueKeyTypes
}
local function wrongQueueKey(queue, but)
  for part, expected in pairs(queueKeyTypes) do
    local wrong = not (but and but[part]) and wrongType(queue .. part, expected)
    if wrong then return wrong end
  end
  return nil
end
local function holdOf(queue, moved, paused, version)
  local held = moved or paused and version and string.match(version, '^bullmq[%w-]*:[0-5]%.') ~= nil
  return held and redis.error_reply('QUEUEHELD ' .. queue .. ' is paused by a BullMQ before version 6') or nil
end
local function heldQueue(queue)
  if redis.call('EXISTS', queue .. 'paused') == 1 then return holdOf(queue, true) end
  local meta = redis.call('HMGET', queue .. 'meta', 'paused', 'version')
  return holdOf(queue, false, meta[1], meta[2])
end
