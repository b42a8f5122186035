--[[
  The atomic path: forwards and dead-letters the entries of a piece of a batch, and acknowledges them, in one step.

  Entries that were read together are neighbours in the pending list, so one XPENDING answers for nearly all. The entries that
  it misses (entries of others in between, ids out of order) are looked up one by one.

  KEYS
    stream           stream
    deadLetters      stream
    stats            hash      the ledger
    addKeys          any[]     keys of BullMQ's add
    marks            string[]  one per entry

  ARGV
    group            text
    maxDeadLetters   integer   records that the dead-letter stream may hold
    maxDeliveries    integer   an entry with more deliveries, this one included, becomes a dead letter
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
    letters          rows      to dead-letter
      .id            text
      .redrives      integer
      .hash          text      of the idempotency key; empty where none could be derived
      .reason        text
      .error         text
    adds             bytes[]   per entry: the first argument of BullMQ's add; none for the specialised add
    data             bytes[]   per entry: the second, which is the job's data
    options          bytes[]   per entry: the third, or the options as JSON (lib/specialisedAdd.lua)

  REPLY
    waiting          integer   jobs that wait, for a worker or for their time
    forwarded        text[]    none where all were forwarded. Else per entry: forwarded, duplicate, gone; exhausted or rejected, with its record written; refused:<why>
                               where its job was refused; !<why> where its record was
    lettered         text[]    per letter: dead, gone, or !<why> where its record was refused

  WRITES
    1 forwardJob's (lib/forwardJob.lua)              a refused job leaves nothing behind, and its entry stays pending
    2 XADD deadLetters, per letter                   a refusal leaves that entry pending
    3 acknowledge's (lib/settled.lua)                a refusal leaves everything pending: the next attempt settles entries that have
                                                     jobs as duplicates; records are deleted again, if that is not refused as well
]]
-- @include queueState
-- @include forwardJob
-- @include bullAdd
-- @include specialisedAdd
-- @include deadLetterEntry
-- @include settled
-- @include clock
local place = {stream = stream, deadLetters = deadLetters, stats = stats, group = group, max = maxDeadLetters}
local state, adder, rows, stands
local ids, jobIds, keys, total = {}, {}, {}, 0
for id, _, jobId in entries() do
  total = total + 1
  ids[total], jobIds[total], keys[total] = id, jobId, queue .. jobId
end
local function wrongReadKey() return wrongQueueKey(queue) or wrongType(stream, 'stream') end
local function read()
  state = readQueue(queue)
  adder = job and createSpecialisedAdd(queue, job, requestCopy, state) or createBullAdd(queue, addKeys, requestCopy)
  rows = count > 0 and redis.call('XPENDING', stream, group, firstId, lastId, count) or {}
  stands = standingIn(keys, marks)
end
local wrong = wrongQueueKey(queue, readParts) or wrongType(stats, 'hash') or wrongWhileReading(read, wrongReadKey)
if wrong then return wrong end
local now = serverNow()
local how = {stands = stands, windowMs = windowMs, now = now, held = state.held}
local items = {ids = jobIds, keys = keys, marks = marks, origins = ids}
local forwarding, pending = createForwarding(queue, adder, items, how), createLetters(place)

-- Nearly always the rows are those of the entries, in their order.
local rowOf, nextRow = nil, 1
local function pendingRow(id)
  local row = rows[nextRow]
  if row and row[1] == id then
    nextRow = nextRow + 1
    return row
  end
  if not rowOf then
    rowOf = {}
    for _, each in ipairs(rows) do rowOf[each[1]] = each end
  end
  return rowOf[id] or redis.call('XPENDING', stream, group, id, id, 1)[1]
end
local function decideLetter(id, redrives, jobId, reason, failure, row)
  local letter = {reason = reason, error = failure, hash = string.sub(jobId, hashAt), redrives = redrives}
  return pending.decide(id, letter, row or pendingRow(id))
end

-- Decide. decided: outcomes that are known by now, of entries that are not forwarded.
local decided, lettered = {}, {}
for index = 1, total do
  local row = pendingRow(ids[index])
  if not row then decided[index] = 'gone'
  elseif row[4] > maxDeliveries then decided[index] = row
  else forwarding.decide(index) end
end
if next(decided) then
  local index = 0
  for id, redrives, jobId in entries() do
    index = index + 1
    local row = decided[index]
    if row and row ~= 'gone' then
      local failure = 'delivered ' .. row[4] .. ' times; the ceiling is ' .. maxDeliveries
      local outcome = decideLetter(id, redrives, jobId, 'MaxDeliveries', failure, row)
      decided[index] = outcome == 'dead' and 'exhausted' or outcome
    end
  end
end
for id, redrives, hash, reason, failure in letters() do
  local letter = {reason = reason, error = failure, hash = hash, redrives = redrives}
  lettered[#lettered + 1] = pending.decide(id, letter, pendingRow(id))
end

-- Write: jobs, records, the acknowledgement.
forwarding.makeWay()
for index = 1, total do
  if not decided[index] then forwarding.add(index, adds[index], data[index], options[index]) end
end
local added, outcomes = forwarding.finish()
-- Usually these are all entries.
local settled = ids
if added < total then
  settled = {}
  local index = 0
  for id, redrives, jobId in entries() do
    index = index + 1
    local outcome = decided[index] or outcomes[index]
    if decided[index] then outcomes[index] = outcome
    elseif outcome == 'forwarded' or outcome == 'duplicate' then settled[#settled + 1] = id
    elseif refused(outcome) then outcomes[index] = 'refused:' .. refused(outcome)
    else
      outcome = decideLetter(id, redrives, jobId, 'SinkRejected', string.sub(outcome, 10))
      outcomes[index] = outcome == 'dead' and 'rejected' or outcome
    end
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
for index = 1, added < total and total or 0 do outcomes[index] = textOf(ids[index], outcomes[index]) end
local index = 0
for id in letters() do
  index = index + 1
  lettered[index] = textOf(id, lettered[index])
end
return {state.waiting + added, added < total and outcomes or {}, lettered}
