--[[
  bullRemove(job, id, queue) removes a job as BullMQ does. Returns 1 when it did; nil where BullMQ's script is not known.
]]
local function bullRemove(job, id, queue)
  local function remove(KEYS, ARGV)
    -- @bullmq remove
  end
  return remove({job, queue .. 'repeat'}, {id, '0', queue})
end
