--[[
  The portable path, last command of its MULTI: marks the keys whose job is there. A key of the wrong type made the add before this
  fail half-way; it is still wrong here, since a MULTI is one step.

  MULTI

  KEYS
    marks       string[]  one per job
    jobs        hash[]

  ARGV
    queue       text      prefix of the queue's keys, with its last colon
    windowMs    integer   life of a mark
    origins     text[]    per job: id of the stream entry, or direct

  REPLY
    marked      integer[] per job: 1 where its mark was written

  WRITES
    1 SET mark, per job   a refusal leaves a job without its mark: the job stands for it
]]
-- @include queueKeys
local wrong = wrongQueueKey(queue)
if wrong then return wrong end
local marked = {}
for i = 1, #jobs do
  marked[i] = redis.call('EXISTS', jobs[i])
  if marked[i] == 1 then redis.call('SET', marks[i], origins[i], 'PX', windowMs) end
end
return {marked}
