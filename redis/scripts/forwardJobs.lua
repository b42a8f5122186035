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
    adds          bytes[]   per item: the first argument of BullMQ's add; none for the specialised add
    data          bytes[]   per item: the second, which is the job's data
    options       bytes[]   per item: the third, or the options as JSON (lib/specialisedAdd.lua)

  REPLY
    waiting       integer   jobs that wait, for a worker or for their time
    outcomes      text[]    per item: forwarded, duplicate, rejected: and why, or refused: and the server's refusal

  WRITES
    1 per item: forwardJob's (lib/forwardJob.lua)   a refusal leaves nothing of that item's job
]]
-- @include queueState
-- @include forwardJob
-- @include bullAdd
-- @include specialisedAdd
-- @include clock
local state, adder, stands
local found, total = {ids = {}, keys = {}, marks = marks, origins = {}}, 0
for jobId, origin in items() do
  total = total + 1
  found.ids[total], found.keys[total], found.origins[total] = jobId, queue .. jobId, origin
end
local function read()
  state = readQueue(queue)
  adder = job and createSpecialisedAdd(queue, job, requestCopy, state) or createBullAdd(queue, addKeys, requestCopy)
  stands = standingIn(found.keys, marks)
end
local wrong = wrongQueueKey(queue, readParts) or wrongWhileReading(read, function() return wrongQueueKey(queue) end)
if wrong then return wrong end
local how = {stands = stands, windowMs = windowMs, now = serverNow(), held = state.held}
local forwarding = createForwarding(queue, adder, found, how)
for index = 1, total do forwarding.decide(index) end
forwarding.makeWay()
for index = 1, total do forwarding.add(index, adds[index], data[index], options[index]) end
local added, outcomes = forwarding.finish()
for i, outcome in ipairs(outcomes) do outcomes[i] = refused(outcome) and 'refused:' .. refused(outcome) or outcome end
return {state.waiting + added, outcomes}
