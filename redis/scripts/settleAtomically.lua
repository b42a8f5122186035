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
    firstId          text      first and last id of entries and letters, in stream order …
    lastId           text
    count            integer   … and their number
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
    waiting          integer   jobs that wait for a worker
    forwarded        text[]    per entry: forwarded, duplicate, gone, exhausted, rejected, or ! and the refusal of its record
    lettered         text[]    per letter: dead, gone, or ! and the refusal of its record

  WRITES
    1 per entry: forwardJob's (lib/forwardJob.lua), or XADD deadLetters
                                    a refusal of the record leaves that entry pending; a refusal inside the add ends the script:
                                    what came before is in the queue with its mark, and ends as duplicate
    2 per letter: XADD deadLetters  a refusal leaves that entry pending
    3 XACK stream                   a refusal leaves everything pending; jobs end as duplicates, records are written again
    4 HINCRBY stats settled, dead   a refusal leaves the ledger short, until it is rebased
]]
-- @include queueKeys
-- @include forwardJob
-- @include deadLetterEntry
-- @include waitingJobs
local wrong = wrongQueueKey(queue) or wrongType(stream, 'stream') or wrongType(stats, 'hash')
if wrong then return wrong end
local now = serverNow()
local place = {stream = stream, deadLetters = deadLetters, group = group, max = maxDeadLetters}
local settled, recorded = {}, 0

local deliveries = {}
if count > 0 then
  for _, row in ipairs(redis.call('XPENDING', stream, group, firstId, lastId, count)) do deliveries[row[1]] = row[4] end
end
local function deliveriesOf(id)
  if deliveries[id] then return deliveries[id] end
  local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
  return row and row[4]
end

local function deadLetter(id, reason, failure, hash, redrives, outcome)
  local written = deadLetterEntry(place, id, {reason = reason, error = failure, hash = hash, redrives = redrives})
  if refused(written) then return '!' .. refused(written) end
  if written == 'gone' then return written end
  settled[#settled + 1] = id
  recorded = recorded + 1
  return outcome
end

local function settleOne(index, id, redrives, jobId, add, options)
  local delivered = deliveriesOf(id)
  if not delivered then return 'gone' end
  local hash = string.sub(jobId, hashAt)
  if delivered > maxDeliveries then
    local failure = 'delivered ' .. delivered .. ' times; the ceiling is ' .. maxDeliveries
    return deadLetter(id, 'MaxDeliveries', failure, hash, redrives, 'exhausted')
  end
  local outcome = forwardJob(queue, windowMs, now, {
    id = jobId, mark = marks[index], origin = id, addKeys = addKeys, addArguments = {add, data[index], options},
    requestCopy = requestCopy
  })
  if string.sub(outcome, 1, 9) == 'rejected:' then
    return deadLetter(id, 'SinkRejected', string.sub(outcome, 10), hash, redrives, 'rejected')
  end
  settled[#settled + 1] = id
  return outcome
end

local forwarded, lettered = {}, {}
for id, redrives, jobId, add, options in entries do
  forwarded[#forwarded + 1] = settleOne(#forwarded + 1, id, redrives, jobId, add, options)
end
for id, redrives, hash, reason, failure in letters do
  lettered[#lettered + 1] = deadLetter(id, reason, failure, hash, redrives, 'dead')
end
if #settled > 0 then
  local acknowledged = redis.call('XACK', stream, group, unpack(settled))
  redis.call('HINCRBY', stats, 'settled', acknowledged)
  if recorded > 0 then redis.call('HINCRBY', stats, 'dead', recorded) end
end
return {waitingJobs(queue), forwarded, lettered}
