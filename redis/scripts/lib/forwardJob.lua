--[[
  One job per key, decided first and written afterwards. `queue` is the prefix of the queue's keys, with its last colon; addKeys are
  those of BullMQ's add; requestCopy: jobs keep their data as it came. Items go by their number: what is decided stands in lists, since
  a table for each of them would cost more than most commands.

  createForwarding(queue, addKeys, windowMs, now, requestCopy) begins.
  forwarding.decide(index, id, mark) decides. It finds one of
    'duplicate'   a mark, or another item of this script, stands for the key
    'existing'    a job stands for it, finished within the window or still in one of the queue's lists; the mark is written again for
                  the rest of the window (a second at least), counted from the job's finish, or from its making until then
    'add'         to be added. A job makes way that was finished longer ago. So does one that an aborted add left in no list: nobody
                  would ever work on it
    'rejected'    the key of the mark, the job or its lock holds something else; an error would stop its whole batch for ever
    'refused'     the queue is held (queueKeys.lua)
  Times that other programs wrote into a job are believed only where they can be true.
  forwarding.carryOut(index, id, mark, origin, add, data, options) returns 'forwarded', 'duplicate', 'rejected:<why>', or an error reply: then no job of it is
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
  -- As text: Redis would write the number anew for each mark.
  local life = string.format('%.0f', windowMs)
  local kinds, details, outcomes = {}, {}, {}
  -- Job id → the item that adds it.
  local adding = {}
  local function since(text)
    local time = tonumber(text)
    if time and time > 0 and time <= now then return time end
    return now
  end
  local function foreign(key, holds, what) return 'rejected', 'key ' .. key .. ' holds a ' .. holds .. ', not a ' .. what end
  local function standing(id, key, mark)
    local marked = call('TYPE', mark).ok
    if marked == 'string' then return 'duplicate' end
    if marked ~= 'none' then return foreign(mark, marked, 'mark') end
    local holds = call('TYPE', key).ok
    if holds ~= 'hash' then return foreign(key, holds, 'job') end
    local known = call('HMGET', key, 'timestamp', 'finishedOn')
    local remaining = math.ceil(since(known[2] or known[1]) + windowMs - now)
    if known[2] then
      if remaining > 0 then return 'existing', math.max(1000, remaining) end
      local lock = call('TYPE', key .. ':lock').ok
      if lock ~= 'none' and lock ~= 'string' then return foreign(key .. ':lock', lock, 'lock') end
      return 'add', 'finished'
    end
    if inQueue(queue, id) then return 'existing', math.max(1000, remaining) end
    return 'add', 'unfinished'
  end
  -- Where there is no hash, the add wrote nothing, and this must write nothing either: Redis refuses for want of memory only until a
  -- script has written, and the next entry would then be added without memory. The hash goes last: as long as it is there, the next
  -- attempt knows that something was left.
  local function clear(id)
    if call('EXISTS', queue .. id) == 0 then return end
    call('LREM', queue .. 'wait', 0, id)
    for _, set in ipairs({'delayed', 'prioritized', 'completed', 'failed'}) do call('ZREM', queue .. set, id) end
    call('DEL', queue .. id)
  end
  local function makeWay(id, present)
    if present == 'finished' then
      local removed = bullRemove(queue .. id, id, queue)
      if refused(removed) then return removed end
      -- What BullMQ would not remove (a lock left behind) must not be taken for the job that is added now, nor stay in another list.
      for _, set in ipairs({'completed', 'failed'}) do call('ZREM', queue .. set, id) end
    end
    call('DEL', queue .. id)
    return nil
  end
  local function addAndMark(id, mark, origin, present, add, data, options)
    local blocked = present and attempt(makeWay, id, present)
    local result = blocked or attempt(bullAdd, addKeys, {add, data, options})
    if type(result) == 'number' and result < 0 then return 'rejected:BullMQ refused to add the job, code ' .. result end
    if requestCopy and not refused(result) then
      local copied = attempt(call, 'HSET', queue .. id, 'spRequest', data)
      if refused(copied) then result = copied end
    end
    local marked = refused(result) and result or attempt(call, 'SET', mark, origin, 'PX', life)
    if not refused(marked) then return 'forwarded' end
    attempt(clear, id)
    return marked
  end
  local forwarding = {}
  function forwarding.decide(index, id, mark)
    if adding[id] then
      kinds[index], details[index] = 'after', adding[id]
      return
    end
    local key = queue .. id
    local kind, detail = 'add', nil
    if call('EXISTS', mark, key) > 0 then kind, detail = standing(id, key, mark) end
    if kind == 'add' then
      if held then kind, detail = 'refused', held else adding[id] = index end
    end
    kinds[index], details[index] = kind, detail
  end
  function forwarding.carryOut(index, id, mark, origin, add, data, options)
    local kind, detail = kinds[index], details[index]
    if kind == 'add' then
      local outcome = addAndMark(id, mark, origin, detail, add, data, options)
      outcomes[index] = outcome
      return outcome
    end
    -- Whether its key has a job is known only once the item before it has been dealt with.
    if kind == 'after' then return outcomes[detail] == 'forwarded' and 'duplicate' or outcomes[detail] end
    if kind == 'rejected' then return 'rejected:' .. detail end
    if kind == 'refused' then return detail end
    if kind == 'existing' then
      local marked = attempt(call, 'SET', mark, origin, 'PX', detail)
      return refused(marked) and marked or 'duplicate'
    end
    return kind
  end
  return forwarding
end
