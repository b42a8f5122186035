--[[
  One job per key, decided first and written afterwards. `queue` is the prefix of the queue's keys, with its last colon; addKeys are
  those of BullMQ's add; requestCopy: jobs keep their data as it came. A job is one table, made with all its fields at once, since a Lua
  table that grows is copied: id, mark (key), origin, the arguments add, data and options of BullMQ's add, and kind, detail, after and
  outcome, false at first.

  createForwarding(queue, addKeys, windowMs, now, requestCopy) begins.
  forwarding.decide(job) decides, and sets `kind` to
    'duplicate'   a mark, or another item of this script, stands for the key
    'existing'    a job stands for it, finished within the window or still in one of the queue's lists; the mark is written again for
                  the rest of the window (a second at least), counted from the job's finish, or from its making until then
    'add'         to be added. A job makes way that was finished longer ago. So does one that an aborted add left in no list: nobody
                  would ever work on it
    'rejected'    the job's key holds something else; an error would stop its whole batch for ever
    'refused'     the queue is held (queueKeys.lua)
  Times that other programs wrote into a job are believed only where they can be true.
  forwarding.carryOut(job) returns 'forwarded', 'duplicate', 'rejected:<why>', or an error reply: then no job of it is
  left; BullMQ's events and counters are not taken back.

  WRITES
    1 BullMQ's removal, ZREM, DEL job   of a job that makes way; a refusal is returned, and what is left of the job is removed
    2 BullMQ's add                a refusal is returned; the half of a job that it left is removed again
    3 HSET job spRequest          a refusal is returned; the job is removed again
    4 SET mark                    a refusal is returned; the job is removed again
]]
-- @include bullRemove
-- @include queueKeys
-- @include replies
local function bullAdd(KEYS, ARGV)
  -- @bullmq add
end
local function inQueue(queue, id)
  for _, list in ipairs({'wait', 'active', 'paused'}) do
    if redis.call('LPOS', queue .. list, id) then return true end
  end
  for _, set in ipairs({'delayed', 'prioritized', 'waiting-children', 'failed', 'completed'}) do
    if redis.call('ZSCORE', queue .. set, id) then return true end
  end
  return false
end
local function createForwarding(queue, addKeys, windowMs, now, requestCopy)
  local call = redis.call
  local held = heldQueue(queue)
  local first = {}
  local function since(text)
    local time = tonumber(text)
    if time and time > 0 and time <= now then return time end
    return now
  end
  local function standing(job, key)
    if call('EXISTS', job.mark) == 1 then return 'duplicate', false end
    local holds = call('TYPE', key).ok
    if holds ~= 'hash' then return 'rejected', 'key ' .. key .. ' holds a ' .. holds .. ', not a job' end
    local known = call('HMGET', key, 'timestamp', 'finishedOn')
    local remaining = math.ceil(since(known[2] or known[1]) + windowMs - now)
    if known[2] then
      if remaining > 0 then return 'existing', math.max(1000, remaining) end
      return 'add', 'finished'
    end
    if inQueue(queue, job.id) then return 'existing', math.max(1000, remaining) end
    return 'add', 'unfinished'
  end
  local forwarding = {}
  function forwarding.decide(job)
    local id = job.id
    local before = first[id]
    if before then
      job.kind, job.after = 'duplicate', before
      return
    end
    local key = queue .. id
    if call('EXISTS', job.mark, key) == 0 then job.kind = 'add' else job.kind, job.detail = standing(job, key) end
    if job.kind == 'add' then
      if held then job.kind, job.detail = 'refused', held else first[id] = job end
    end
  end
  -- Where there is no hash, the add wrote nothing, and this must write nothing either: Redis refuses for want of memory only until a
  -- script has written, and the next entry would then be added without memory. The hash goes last: as long as it is there, the next
  -- attempt knows that something was left.
  local function clear(job)
    if call('EXISTS', queue .. job.id) == 0 then return end
    call('LREM', queue .. 'wait', 0, job.id)
    for _, set in ipairs({'delayed', 'prioritized', 'completed', 'failed'}) do call('ZREM', queue .. set, job.id) end
    call('DEL', queue .. job.id)
  end
  local function add(job)
    if job.detail == 'finished' then
      local removed = bullRemove(queue .. job.id, job.id, queue)
      if refused(removed) then return removed end
      -- What BullMQ would not remove (a lock left behind) must not be taken for the job that is added now, nor stay in another list.
      for _, set in ipairs({'completed', 'failed'}) do call('ZREM', queue .. set, job.id) end
    end
    if job.detail then call('DEL', queue .. job.id) end
    local result = bullAdd(addKeys, {job.add, job.data, job.options})
    if requestCopy and (type(result) ~= 'number' or result >= 0) then call('HSET', queue .. job.id, 'spRequest', job.data) end
    return result
  end
  local function addAndMark(job)
    local result = attempt(add, job)
    if type(result) == 'number' and result < 0 then return 'rejected:BullMQ refused to add the job, code ' .. result end
    local marked = refused(result) and result or attempt(call, 'SET', job.mark, job.origin, 'PX', windowMs)
    if not refused(marked) then return 'forwarded' end
    attempt(clear, job)
    return marked
  end
  function forwarding.carryOut(job)
    local kind = job.kind
    if kind == 'add' then
      job.outcome = addAndMark(job)
      return job.outcome
    end
    -- Whether its key has a job is known only once the item before it has been dealt with.
    if job.after and job.after.outcome ~= 'forwarded' then return job.after.outcome end
    if kind == 'rejected' then return 'rejected:' .. job.detail end
    if kind == 'refused' then return job.detail end
    if kind == 'existing' then
      local marked = attempt(call, 'SET', job.mark, job.origin, 'PX', job.detail)
      return refused(marked) and marked or 'duplicate'
    end
    return kind
  end
  return forwarding
end
