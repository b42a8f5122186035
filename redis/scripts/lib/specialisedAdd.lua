--[[
  createSpecialisedAdd(queue, job, requestCopy, state) adds jobs as BullMQ 6 does (addStandardJob, addDelayedJob, addPrioritizedJob), and does once
  for all of a script whatever is the same for each: it reads the queue's settings, counts ids, pushes, and wakes workers. The client
  encodes the options. It covers jobs without parent, repetition and deduplication. The self-test at start compares the results of
  both ways. `queue` is the prefix of the queue's keys, with its last colon; requestCopy: jobs keep their data as it came; state:
  readQueue's (queueState.lua).
  job.name, job.time (ms), job.delay (ms; 0 for none), job.priority (0 for none) and job.lifo are the same for all.
  adder.add(id, key, _, data, options) stores a job; key: its key; options: as JSON. It returns nil, or an error reply: then nothing of it is left.
  adder.finish() puts all stored jobs into the queue. It returns nil, or an error reply: then nothing of any of them is left.
  adder.withdraw(id) removes one of them again.

  Before the last write of `finish` no job is in a list of the queue. So a refusal is made good by deleting the hashes. Where that is refused
  as well, their note that they are in a list (spAdded) is taken back (forgetJob.lua).

  WRITES
    1 HSET job, per job               a refusal is returned
    2 HSET meta opts.maxLenEvents     only where it is missing, as BullMQ does; a refusal is returned, and all jobs are deleted again
    3 INCRBY id                       a refusal is returned, and all jobs are deleted again
    4 XADD events, two per job        a refusal is returned, and all jobs are deleted again
    5 INCRBY pc, of prioritised jobs  a refusal is returned, and all jobs are deleted again
    6 ZADD marker                     a refusal is returned, and all jobs are deleted again
    7 LPUSH or RPUSH wait, ZADD prioritized, ZADD delayed, one for all
                                      a refusal is returned, and all jobs are deleted again; the marker stays, and wakes a worker once
]]
-- @include replies
-- @include forgetJob
local function createSpecialisedAdd(queue, job, requestCopy, state)
  local call, try = redis.call, redis.pcall
  local name, lifo, delay, priority = job.name, job.lifo, job.delay, job.priority
  local events, marker = queue .. 'events', queue .. 'marker'
  local timeText, delayText = string.format('%.0f', job.time), string.format('%.0f', delay)
  local priorityText = string.format('%.0f', priority)
  local due = job.time + delay
  local dueText = string.format('%.0f', due)
  local stored = {}

  -- Read. Of delayed jobs BullMQ's score is the time and, in the last twelve bits, the place among those of the same time.
  local maxEvents = state.maxEvents or '10000'
  local idle = not (state.paused or state.concurrency and call('LLEN', queue .. 'active') >= tonumber(state.concurrency))
  local lastScore, greatestScore, firstScore
  if delay > 0 then
    greatestScore = (due + 1) * 0x1000 - 1
    local last = call('ZREVRANGEBYSCORE', queue .. 'delayed', greatestScore, due * 0x1000, 'WITHSCORES', 'LIMIT', 0, 1)
    lastScore = tonumber(last[2]) or due * 0x1000 - 1
    firstScore = tonumber(call('ZRANGE', queue .. 'delayed', 0, 0, 'WITHSCORES')[2])
  end

  -- BullMQ trims with each event; what the last one leaves is the same.
  local function announce(id, last)
    local reply = try('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', name)
    if refused(reply) then return refusal(reply.err, 'XADD', events) end
    if last then
      if delay > 0 then return send('XADD', events, 'MAXLEN', '~', maxEvents, '*', 'event', 'delayed', 'jobId', id, 'delay', dueText) end
      return send('XADD', events, 'MAXLEN', '~', maxEvents, '*', 'event', 'waiting', 'jobId', id)
    end
    if delay > 0 then reply = try('XADD', events, '*', 'event', 'delayed', 'jobId', id, 'delay', dueText)
    else reply = try('XADD', events, '*', 'event', 'waiting', 'jobId', id) end
    return refused(reply) and refusal(reply.err, 'XADD', events) or reply
  end
  local function wake()
    if delay > 0 then
      local first = math.min(firstScore or lastScore + 1, lastScore + 1, greatestScore)
      return send('ZADD', marker, first / 0x1000, '1')
    end
    return idle and send('ZADD', marker, 0, '0') or nil
  end
  local function pushDelayed()
    local members = {}
    for i, id in ipairs(stored) do
      members[2 * i - 1], members[2 * i] = math.min(lastScore + i, greatestScore), id
    end
    return send('ZADD', queue .. 'delayed', unpack(members))
  end
  local function pushPrioritised(counter)
    local members = {}
    for i, id in ipairs(stored) do
      members[2 * i - 1], members[2 * i] = priority * 0x100000000 + (counter - #stored + i) % 0x100000000, id
    end
    return send('ZADD', queue .. 'prioritized', unpack(members))
  end
  local function place()
    local reply = not state.maxEvents and send('HSET', queue .. 'meta', 'opts.maxLenEvents', maxEvents)
    if refused(reply) then return reply end
    reply = send('INCRBY', queue .. 'id', #stored)
    if refused(reply) then return reply end
    for i, id in ipairs(stored) do
      reply = announce(id, i == #stored)
      if refused(reply) then return reply end
    end
    local counter = delay == 0 and priority > 0 and send('INCRBY', queue .. 'pc', #stored)
    if refused(counter) then return counter end
    reply = wake()
    if refused(reply) then return reply end
    if delay > 0 then return pushDelayed() end
    if counter then return pushPrioritised(counter) end
    return send(lifo and 'RPUSH' or 'LPUSH', queue .. 'wait', unpack(stored))
  end

  local adder = {}
  -- Not by `send`: passing sixteen arguments on costs as much as a short command.
  function adder.add(id, key, _, data, options)
    local reply
    if requestCopy then
      reply = try('HSET', key, 'name', name, 'data', data, 'opts', options, 'timestamp', timeText, 'delay', delayText,
        'priority', priorityText, 'spAdded', '1', 'spRequest', data)
    else
      reply = try('HSET', key, 'name', name, 'data', data, 'opts', options, 'timestamp', timeText, 'delay', delayText,
        'priority', priorityText, 'spAdded', '1')
    end
    if refused(reply) then return refusal(reply.err, 'HSET', key) end
    stored[#stored + 1] = id
    return nil
  end
  function adder.finish()
    if #stored == 0 then return nil end
    local reply = attempt(place)
    if not refused(reply) then return nil end
    for _, id in ipairs(stored) do forgetJob(queue .. id) end
    return reply
  end
  -- They are the newest of their list, so that LREM finds them at once. The hash goes last: as long as it is there, the next attempt
  -- knows that something was left.
  function adder.withdraw(id)
    local reply
    if delay > 0 then reply = send('ZREM', queue .. 'delayed', id)
    elseif priority > 0 then reply = send('ZREM', queue .. 'prioritized', id)
    else reply = send('LREM', queue .. 'wait', lifo and -1 or 1, id) end
    if not refused(reply) then forgetJob(queue .. id) end
  end
  return adder
end
