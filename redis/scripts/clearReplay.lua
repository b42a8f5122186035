--[[
  The queue's half of a replay, where the queue is elsewhere: removes what would swallow the new entry as a duplicate.

  KEYS
    queue     any      prefix of the queue's keys, with its last colon
    mark      string

  ARGV
    id        text     of the job

  REPLY
    outcome   text     clear; busy: the job is not finished, or cannot be removed; or foreign:<type>:<key> (lib/clearJob.lua)

  WRITES
    1 clearJob's (lib/clearJob.lua)   a refusal leaves the dead letter; the next replay does the rest
]]
-- @include clearJob
local standing = jobInTheWay(queue, id, mark)
if standing and standing ~= 'finished' then return {standing} end
local refusal = mayNotClear(queue, id, mark)
if refusal then return refusal end
local stop = clearJob(queue, id, mark, standing)
return refused(stop) and stop or {stop or 'clear'}
