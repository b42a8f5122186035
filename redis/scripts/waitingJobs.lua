--[[
  How many jobs wait, for a worker or for their time.

  KEYS
    queue    any      prefix of the queue's keys, with its last colon

  REPLY
    waiting  integer

  WRITES
    none
]]
-- @include waitingJobs
return {waitingJobs(queue)}
