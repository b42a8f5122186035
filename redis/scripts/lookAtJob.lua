--[[
  How a job stands to a replay, where BullMQ's own interface has to remove it because its scripts are not known.

  KEYS
    queue     any      prefix of the queue's keys, with its last colon
    mark      string

  ARGV
    id        text     of the job

  REPLY
    outcome   text     none, finished, busy, or foreign:<type>:<key> (lib/clearJob.lua)

  WRITES
    none
]]
-- @include clearJob
local standing = jobInTheWay(queue, id, mark) or 'none'
if standing ~= 'none' and standing ~= 'finished' then return {standing} end
return mayNotClear(queue, id, mark) or {standing}
