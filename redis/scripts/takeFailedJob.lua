--[[
  Removes a failed job that has been recorded, or notes in it that it was; where the queue is elsewhere.

  KEYS
    queue       any       prefix of the queue's keys, with its last colon

  ARGV
    id          text      of the job
    finishedOn  text      the failure that is meant

  REPLY
    outcome     integer   0 not this failure any more, 1 removed, 2 kept

  WRITES
    1 takeJob's (lib/failedJob.lua)   a refusal leaves a job that is looked at again; its token keeps it from a second record
]]
-- @include failedJob
local standing = standingOf(queue, id, finishedOn)
local outcome = standing and takeJob(queue, id, finishedOn, standing) or 0
return refused(outcome) and outcome or {outcome}
