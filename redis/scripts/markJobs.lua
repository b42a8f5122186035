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
    requestCopy flag      jobs keep their data as it came, beside what workers may change
    origins     text[]    per job: id of the stream entry, or direct

  REPLY
    marked      integer[] per job: 1 where its mark was written

  WRITES
    per job:
    1 HSET job spRequest  a refusal leaves a job without its copy and its mark: it stands for the mark
    2 SET mark            a refusal leaves jobs without marks: they stand for them
]]
-- @include queueKeys
local wrong = wrongQueueKey(queue)
if wrong then return wrong end
local marked = {}
for i = 1, #jobs do
  marked[i] = redis.call('EXISTS', jobs[i])
  if marked[i] == 1 then
    -- In the step that made the job, so that no worker has seen it yet.
    if requestCopy and not redis.call('HGET', jobs[i], 'spRequest') then
      redis.call('HSET', jobs[i], 'spRequest', redis.call('HGET', jobs[i], 'data') or '')
    end
    redis.call('SET', marks[i], origins[i], 'PX', windowMs)
  end
end
return {marked}
