--[[
  Whether a failed job is still to be captured; where the queue is elsewhere.

  KEYS
    queue       any       prefix of the queue's keys, with its last colon

  ARGV
    id          text      of the job
    finishedOn  text      the failure that is meant

  REPLY
    stands      flag

  WRITES
    none
]]
-- @include failedJob
return {standingOf(queue, id, finishedOn) and 1 or 0}
