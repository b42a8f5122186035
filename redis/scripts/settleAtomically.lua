--[[
  The atomic path: forwards and dead-letters the entries of a piece of a batch, and acknowledges them, in one step.

  Entries that were read together are neighbours in the pending list, so one XPENDING answers for nearly all. What it misses
  (entries of others in between, ids out of order) is looked up by itself.

  KEYS
    stream           stream
    deadLetters      stream
    stats            hash      the ledger
    addKeys          any[]     keys of BullMQ's add
    marks            string[]  one per entry

  ARGV
    group            text
    maxDeadLetters   integer   records that the dead-letter stream may hold
    maxDeliveries    integer   an entry delivered more often is dead-lettered
    queue            text      prefix of the queue's keys, with its last colon
    windowMs         integer   life of a mark
    requestCopy      flag      jobs keep their data as it came, beside what workers may change
    job              packed    what is the same for all jobs (lib/specialisedAdd.lua); nil: they are added by BullMQ's own text
    hashAt           integer   where the key's hash begins in a job id, from 1
    firstId          text      of entries and letters together: the first id in stream order,
    lastId           text      the last,
    count            integer   and how many there are
    entries          rows      to forward
      .id            text
      .redrives      integer
      .jobId         text
      .add           parts     first argument of the add (lib/bullAdd.lua, lib/specialisedAdd.lua)
      .options       parts     third argument of BullMQ's add; else empty
    letters          rows      to dead-letter
      .id            text
      .redrives      integer
      .hash          text      of the idempotency key; empty where none could be derived
      .reason        text
      .error         text
    data             bytes[]   per entry: the second argument of the add

  REPLY
    waiting          integer   jobs that wait, for a worker or for their time
    forwarded        text[]    per entry: forwarded, duplicate, gone; exhausted or rejected, with its record written; refused:<why>
                               where its job was refused; !<why> where its record was
    lettered         text[]    per letter: dead, gone, or !<why> where its record was refused

  WRITES
    1 forwardJob's (lib/forwardJob.lua)              a refusal leaves the entries pending whose jobs it keeps away, and nothing of these
    2 XADD deadLetters, per letter                   a refusal leaves that entry pending
    3 acknowledge's (lib/settled.lua)                a refusal leaves everything pending: jobs end as duplicates; records are deleted
                                                     again, if that is not refused as well
]]
-- @include queueKeys
-- @include forwardJob
-- @include bullAdd
-- @include specialisedAdd
-- @include deadLetterEntry
-- @include settled
-- @include waitingJobs
-- @include clock
local wrong = wrongQueueKey(queue) or wrongType(stream, 'stream') or wrongType(stats, 'hash')
if wrong then return wrong end
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local now, waiting = serverNow(), waitingJobs(queue)
local adder = job and createSpecialisedAdd(queue, job, requestCopy) or createBullAdd(queue, addKeys, requestCopy)
local forwarding, pending = createForwarding(queue, adder, windowMs, now), createLetters(place)

local rowOf = {}
if count > 0 then
  for _, row in ipairs(redis.call('XPENDING', stream, group, firstId, lastId, count)) do rowOf[row[1]] = row end
end
local function pendingRow(id) return rowOf[id] or redis.call('XPENDING', stream, group, id, id, 1)[1] end
local function decideLetter(id, redrives, jobId, reason, failure)
  local letter = {reason = reason, error = failure, hash = string.sub(jobId, hashAt), redrives = redrives}
  return pending.decide(id, letter, pendingRow(id))
end

-- Decide. An outcome that is known by now is kept; what has none is forwarded.
local forwarded, lettered, index = {}, {}, 0
for id, redrives, jobId in entries() do
  index = index + 1
  local row = pendingRow(id)
  if not row then forwarded[index] = 'gone'
  elseif row[4] > maxDeliveries then
    local failure = 'delivered ' .. row[4] .. ' times; the ceiling is ' .. maxDeliveries
    local outcome = decideLetter(id, redrives, jobId, 'MaxDeliveries', failure)
    forwarded[index] = outcome == 'dead' and 'exhausted' or outcome
  else
    forwarded[index] = false
    forwarding.decide(index, jobId, marks[index])
  end
end
for id, redrives, hash, reason, failure in letters() do
  local letter = {reason = reason, error = failure, hash = hash, redrives = redrives}
  lettered[#lettered + 1] = pending.decide(id, letter, pendingRow(id))
end

-- Write: jobs, records, the acknowledgement.
forwarding.makeWay()
index = 0
for id, _, _, add, options in entries() do
  index = index + 1
  if not forwarded[index] then forwarding.add(index, id, add, data[index], options) end
end
local outcomes, settled, added = forwarding.finish(), {}, 0
index = 0
for id, redrives, jobId in entries() do
  index = index + 1
  if not forwarded[index] then
    local outcome = outcomes[index]
    if outcome == 'forwarded' or outcome == 'duplicate' then
      settled[#settled + 1] = id
      if outcome == 'forwarded' then added = added + 1 end
    elseif refused(outcome) then outcome = 'refused:' .. refused(outcome)
    else
      outcome = decideLetter(id, redrives, jobId, 'SinkRejected', string.sub(outcome, 10))
      if outcome == 'dead' then outcome = 'rejected' end
    end
    forwarded[index] = outcome
  end
end
local duplicates = #settled - added
local recorded, refusals = pending.write(now)
for _, id in ipairs(recorded) do settled[#settled + 1] = id end
if #settled > 0 then
  local acknowledged = acknowledge(place, settled, #recorded, duplicates)
  if refused(acknowledged) then
    pending.undo()
    return acknowledged
  end
end

local function textOf(id, outcome)
  local refusal = refused(refusals[id]) or refused(outcome)
  return refusal and '!' .. refusal or outcome
end
if #lettered > 0 or #settled < #forwarded then
  index = 0
  for id in entries() do
    index = index + 1
    forwarded[index] = textOf(id, forwarded[index])
  end
  index = 0
  for id in letters() do
    index = index + 1
    lettered[index] = textOf(id, lettered[index])
  end
end
return {waiting + added, forwarded, lettered}
