--[[
  One job per key, decided first and written afterwards. `queue` is the prefix of the queue's keys, with its last colon; job: id, mark
  (key), origin, BullMQ's own keys and arguments of its add, and requestCopy: whether the job keeps its data as it came.

  createForwarding(queue, windowMs, now) begins.
  forwarding.decide(job) returns a decision, whose `kind` is
    'duplicate'   a mark, or another item of this script, stands for the key
    'existing'    a job stands for it, finished within the window or still in one of the queue's lists; the mark is written again for
                  the rest of the window (a second at least), counted from the job's finish, or from its making until then
    'add'         to be added. A job makes way that was finished longer ago. So does one that an aborted add left in no list: nobody
                  would ever work on it
    'rejected'    the job's key holds something else; an error would stop its whole batch for ever
    'refused'     the queue is held (queueKeys.lua)
  Times that other programs wrote into a job are believed only where they can be true.
  forwarding.carryOut(decision) returns 'forwarded', 'duplicate', 'rejected:<why>', or an error reply: then no job of it is
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
local function createForwarding(queue, windowMs, now)
  local held = heldQueue(queue)
  local added = {}
  local function since(text)
    local time = tonumber(text)
    if time and time > 0 and time <= now then return time end
    return now
  end
  local function standing(job)
    local key = queue .. job.id
    if redis.call('EXISTS', job.mark, key) == 0 then return 'add' end
    if redis.call('EXISTS', job.mark) == 1 then return 'duplicate' end
    local holds = redis.call('TYPE', key).ok
    if holds ~= 'hash' then return 'rejected', 'key ' .. key .. ' holds a ' .. holds .. ', not a job' end
    local known = redis.call('HMGET', key, 'timestamp', 'finishedOn')
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
    local decision = {job = job, kind = 'duplicate', after = added[job.id]}
    if not decision.after then
      decision.kind, decision.detail = standing(job)
      if decision.kind == 'add' then
        if held then decision.kind, decision.detail = 'refused', held else added[job.id] = decision end
      end
    end
    return decision
  end
  -- Where there is no hash, the add wrote nothing, and this must write nothing either: Redis refuses for want of memory only until a
  -- script has written, and the next entry would then be added without memory. The hash goes last: as long as it is there, the next
  -- attempt knows that something was left.
  local function clear(job)
    if redis.call('EXISTS', queue .. job.id) == 0 then return end
    redis.call('LREM', queue .. 'wait', 0, job.id)
    for _, set in ipairs({'delayed', 'prioritized', 'completed', 'failed'}) do redis.call('ZREM', queue .. set, job.id) end
    redis.call('DEL', queue .. job.id)
  end
  local function add(job, present)
    if present == 'finished' then
      local removed = bullRemove(queue .. job.id, job.id, queue)
      if refused(removed) then return removed end
      -- What BullMQ would not remove (a lock left behind) must not be taken for the job that is added now, nor stay in another list.
      for _, set in ipairs({'completed', 'failed'}) do redis.call('ZREM', queue .. set, job.id) end
    end
    if present then redis.call('DEL', queue .. job.id) end
    local result = bullAdd(job.addKeys, job.addArguments)
    local added = type(result) ~= 'number' or result >= 0
    if added and job.requestCopy then redis.call('HSET', queue .. job.id, 'spRequest', job.addArguments[2]) end
    return result
  end
  function forwarding.carryOut(decision)
    local job, kind = decision.job, decision.kind
    -- Whether its key has a job is known only once the item before it has been dealt with.
    if decision.after and decision.after.outcome ~= 'forwarded' then return decision.after.outcome end
    if kind == 'duplicate' then return kind end
    if kind == 'rejected' then return 'rejected:' .. decision.detail end
    if kind == 'refused' then return decision.detail end
    if kind == 'existing' then
      local marked = attempt(redis.call, 'SET', job.mark, job.origin, 'PX', decision.detail)
      return refused(marked) and marked or 'duplicate'
    end
    local result = attempt(add, job, decision.detail)
    if type(result) == 'number' and result < 0 then
      decision.outcome = 'rejected:BullMQ refused to add the job, code ' .. result
      return decision.outcome
    end
    local marked = refused(result) and result or attempt(redis.call, 'SET', job.mark, job.origin, 'PX', windowMs)
    if refused(marked) then
      attempt(clear, job)
      decision.outcome = marked
      return marked
    end
    decision.outcome = 'forwarded'
    return 'forwarded'
  end
  return forwarding
end
