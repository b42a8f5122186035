--[[
  Forwards many items into the queue, without a stream: the queue's half of the split path, and Direct dispatch.

  KEYS
    addKeys       any[]     keys of BullMQ's add; one key of the queue where there are no items
    marks         string[]  one per item

  ARGV
    queue         text      prefix of the queue's keys, with its last colon
    windowMs      integer   life of a mark
    requestCopy   flag      jobs keep their data as it came, beside what workers may change
    items         rows
      .jobId      text
      .origin     text      id of the stream entry, or direct; kept in the mark
      .add        parts     first argument of BullMQ's add
      .options    parts     third argument of BullMQ's add
    data          bytes[]   per item: the second argument of BullMQ's add

  REPLY
    waiting       integer   jobs that wait, for a worker or for their time
    outcomes      text[]    per item: forwarded, duplicate, rejected: and why, or refused: and the server's refusal

  WRITES
    1 per item: forwardJob's (lib/forwardJob.lua)   a refusal leaves nothing of that item's job
]]
-- @include queueKeys
-- @include forwardJob
-- @include waitingJobs
-- @include clock
local wrong = wrongQueueKey(queue)
if wrong then return wrong end
local waiting = waitingJobs(queue)
local forwarding = createForwarding(queue, addKeys, windowMs, serverNow(), requestCopy)
local index = 0
for jobId in items() do
  index = index + 1
  forwarding.decide(index, jobId, marks[index])
end
local outcomes, added = {}, 0
for jobId, origin, add, options in items() do
  local i = #outcomes + 1
  local outcome = forwarding.carryOut(i, jobId, marks[i], origin, add, data[i], options)
  if outcome == 'forwarded' then added = added + 1 end
  outcomes[i] = refused(outcome) and 'refused:' .. refused(outcome) or outcome
end
return {waiting + added, outcomes}
