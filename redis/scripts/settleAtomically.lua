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
    hashAt           integer   where the key's hash begins in a job id, from 1
    firstId          text      of entries and letters together: the first id in stream order,
    lastId           text      the last,
    count            integer   and how many there are
    entries          rows      to forward
      .id            text
      .redrives      integer
      .jobId         text
      .add           parts     first argument of BullMQ's add
      .options       parts     third argument of BullMQ's add
    letters          rows      to dead-letter
      .id            text
      .redrives      integer
      .hash          text      of the idempotency key; empty where none could be derived
      .reason        text
      .error         text
    data             bytes[]   per entry: the second argument of BullMQ's add

  REPLY
    waiting          integer   jobs that wait, for a worker or for their time
    forwarded        text[]    per entry: forwarded, duplicate, gone; exhausted or rejected, with its record written; refused:<why>
                               where its job was refused; !<why> where its record was
    lettered         text[]    per letter: dead, gone, or !<why> where its record was refused

  WRITES
    1 per entry: forwardJob's (lib/forwardJob.lua)   a refusal leaves that entry pending, and nothing of its job
    2 XADD deadLetters, per letter                   a refusal leaves that entry pending
    3 acknowledge's (lib/settled.lua)                a refusal leaves everything pending: jobs end as duplicates; records are deleted
                                                     again, if that is not refused as well
]]
-- @include queueKeys
-- @include forwardJob
-- @include deadLetterEntry
-- @include settled
-- @include waitingJobs
-- @include clock
local wrong = wrongQueueKey(queue) or wrongType(stream, 'stream') or wrongType(stats, 'hash')
if wrong then return wrong end
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local now, waiting = serverNow(), waitingJobs(queue)
local forwarding, pending = createForwarding(queue, addKeys, windowMs, now, requestCopy), createLetters(place)

local rowOf = {}
if count > 0 then
  for _, row in ipairs(redis.call('XPENDING', stream, group, firstId, lastId, count)) do rowOf[row[1]] = row end
end
local function pendingRow(id) return rowOf[id] or redis.call('XPENDING', stream, group, id, id, 1)[1] end
local function decideLetter(job, reason, failure)
  local letter = {reason = reason, error = failure, hash = string.sub(job.id, hashAt), redrives = job.redrives}
  return pending.decide(job.origin, letter, pendingRow(job.origin))
end

-- Decide. An outcome that is known by now is kept in `settles`; what has none is forwarded.
local jobs, settles, others = {}, {}, {}
for id, redrives, jobId, add, options in entries do
  local index = #jobs + 1
  local job = {
    id = jobId, mark = marks[index], origin = id, add = add, data = data[index], options = options, redrives = redrives,
    kind = false, detail = false, after = false, outcome = false
  }
  jobs[index] = job
  local row = pendingRow(id)
  if not row then settles[index] = 'gone'
  elseif row[4] > maxDeliveries then
    local outcome = decideLetter(job, 'MaxDeliveries', 'delivered ' .. row[4] .. ' times; the ceiling is ' .. maxDeliveries)
    settles[index] = outcome == 'dead' and 'exhausted' or outcome
  else
    settles[index] = false
    forwarding.decide(job)
  end
end
for id, redrives, hash, reason, failure in letters do
  local letter = {reason = reason, error = failure, hash = hash, redrives = redrives}
  others[#others + 1] = {id = id, outcome = pending.decide(id, letter, pendingRow(id))}
end

-- Write: jobs, records, the acknowledgement.
local settled, added = {}, 0
for index, job in ipairs(jobs) do
  if not settles[index] then
    local outcome = forwarding.carryOut(job)
    if outcome == 'forwarded' or outcome == 'duplicate' then
      settled[#settled + 1] = job.origin
      if outcome == 'forwarded' then added = added + 1 end
    elseif refused(outcome) then outcome = 'refused:' .. refused(outcome)
    else
      outcome = decideLetter(job, 'SinkRejected', string.sub(outcome, 10))
      if outcome == 'dead' then outcome = 'rejected' end
    end
    settles[index] = outcome
  end
end
local recorded, refusals = pending.write(now)
for _, id in ipairs(recorded) do settled[#settled + 1] = id end
if #settled > 0 then
  local acknowledged = acknowledge(place, settled, #recorded)
  if refused(acknowledged) then
    pending.undo()
    return acknowledged
  end
end

local function textOf(id, outcome)
  local refusal = refused(refusals[id]) or refused(outcome)
  return refusal and '!' .. refusal or outcome
end
for index, job in ipairs(jobs) do settles[index] = textOf(job.origin, settles[index]) end
local lettered = {}
for i, letter in ipairs(others) do lettered[i] = textOf(letter.id, letter.outcome) end
return {waiting + added, settles, lettered}
