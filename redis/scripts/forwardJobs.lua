--[[
  Forwards many items into the queue, without a stream: the queue's half of the split path, and Direct dispatch.

  KEYS
    addKeys       any[]     keys of BullMQ's add; one key of the queue where there are no items
    marks         string[]  one per item

  ARGV
    queue         text      prefix of the queue's keys, with its last colon
    windowMs      integer   life of a mark
    requestCopy   flag      jobs keep their data as it came, beside what workers may change
    job           packed    what is the same for all jobs (lib/specialisedAdd.lua); nil: they are added by BullMQ's own text
    items         rows
      .jobId      text
      .origin     text      id of the stream entry, or direct; kept in the mark
      .add        parts     first argument of the add (lib/bullAdd.lua, lib/specialisedAdd.lua)
      .options    parts     third argument of BullMQ's add; else empty
    data          bytes[]   per item: the second argument of the add

  REPLY
    waiting       integer   jobs that wait, for a worker or for their time
    outcomes      text[]    per item: forwarded, duplicate, rejected: and why, or refused: and the server's refusal

  WRITES
    1 per item: forwardJob's (lib/forwardJob.lua)   a refusal leaves nothing of that item's job
]]
-- @include queueKeys
-- @include forwardJob
-- @include bullAdd
-- @include specialisedAdd
-- @include waitingJobs
-- @include clock
local wrong = wrongQueueKey(queue)
if wrong then return wrong end
local waiting = waitingJobs(queue)
local adder = job and createSpecialisedAdd(queue, job, requestCopy) or createBullAdd(queue, addKeys, requestCopy)
local forwarding = createForwarding(queue, adder, windowMs, serverNow())
local index = 0
for jobId in items() do
  index = index + 1
  forwarding.decide(index, jobId, marks[index])
end
forwarding.makeWay()
index = 0
for _, origin, add, options in items() do
  index = index + 1
  forwarding.add(index, origin, add, data[index], options)
end
local outcomes, added = forwarding.finish(), 0
for i, outcome in ipairs(outcomes) do
  if outcome == 'forwarded' then added = added + 1 end
  outcomes[i] = refused(outcome) and 'refused:' .. refused(outcome) or outcome
end
return {waiting + added, outcomes}
