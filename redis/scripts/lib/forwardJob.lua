--[[
  One job per key, decided first and written afterwards. `queue` is the prefix of the queue's keys, with its last colon. `adder` adds
  (bullAdd.lua, specialisedAdd.lua). Items go by their number: what is decided stands in lists, since a table for each of them would
  cost more than most commands.

  createForwarding(queue, adder, windowMs, now) begins.
  forwarding.decide(index, id, mark) decides, in the order of the numbers, of which some may be left out. It finds one of
    'duplicate'   a mark, or another item of this script, stands for the key
    'existing'    a job stands for it, finished within the window or still in one of the queue's lists; the mark is written again for
                  the rest of the window (a second at least), counted from the job's finish, or from its making until then
    'add'         to be added. A job makes way that was finished longer ago. So does one that an aborted add left in no list: nobody
                  would ever work on it
    'rejected'    the key of the mark, the job or its lock holds something else; an error would stop its whole batch for ever
    'refused'     the queue is held (queueKeys.lua)
  Times that other programs wrote into a job are believed only where they can be true.
  forwarding.makeWay(), after all are decided, removes the jobs that make way.
  forwarding.add(index, origin, add, data, options), then, for each in its order, begins the job of an item that is to be added.
  forwarding.finish() does the rest for all, and returns a list: per item 'forwarded', 'duplicate', 'rejected:<why>', or an error reply:
  then no job of it is left; BullMQ's events and counters are not taken back.

  WRITES
    1 BullMQ's removal, ZREM, DEL job, per job that makes way   a refusal is returned, and what is left of the job is removed
    2 adder.add, per job     a refusal is returned; what it left of the job is removed again
    3 adder.finish           a refusal is returned for all jobs; they are removed again
    4 SET mark, per item     a refusal is returned; the job is removed again
]]
-- @include bullRemove
-- @include queueKeys
-- @include replies
-- A waiting job without a mark is old, and the oldest stand at the end of the list: the search begins there.
local function inQueue(queue, id)
  for _, set in ipairs({'delayed', 'prioritized', 'waiting-children', 'failed', 'completed'}) do
    if redis.call('ZSCORE', queue .. set, id) then return true end
  end
  for _, list in ipairs({'active', 'wait', 'paused'}) do
    if redis.call('LPOS', queue .. list, id, 'RANK', -1) then return true end
  end
  return false
end
local function createForwarding(queue, adder, windowMs, now)
  local call = redis.call
  local held = heldQueue(queue)
  -- As text: Redis would write the number anew for each mark.
  local life = string.format('%.0f', windowMs)
  local ids, keys, origins, kinds, details, outcomes = {}, {}, {}, {}, {}, {}
  -- Job id → the item that adds it; items whose jobs make way.
  local adding, leaving, last = {}, {}, 0
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
  -- Where there is no hash, this must write nothing: Redis refuses for want of memory only until a script has written, and the next
  -- entry would then be added without memory. The hash goes last: as long as it is there, the next attempt knows that something was left.
  local function clear(id)
    if call('EXISTS', queue .. id) == 0 then return end
    for _, set in ipairs({'completed', 'failed'}) do call('ZREM', queue .. set, id) end
    call('DEL', queue .. id)
  end
  local forwarding = {}
  function forwarding.decide(index, id, mark)
    ids[index], keys[index], last = id, mark, index
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
    if kind == 'add' and detail then leaving[#leaving + 1] = index end
    kinds[index], details[index] = kind, detail
  end
  function forwarding.makeWay()
    for _, index in ipairs(leaving) do
      local blocked = attempt(makeWay, ids[index], details[index])
      if blocked then attempt(clear, ids[index]) end
      outcomes[index] = blocked
    end
  end
  function forwarding.add(index, origin, add, data, options)
    origins[index] = origin
    if kinds[index] ~= 'add' or outcomes[index] then return end
    outcomes[index] = adder.add(ids[index], add, data, options)
  end
  local function mark(index, lifeMs) return send('SET', keys[index], origins[index], 'PX', lifeMs) end
  local function ended(index, refusal)
    local kind, detail = kinds[index], details[index]
    if kind == 'add' then
      local outcome = outcomes[index] or refusal
      if outcome then return outcome end
      local marked = mark(index, life)
      if not refused(marked) then return 'forwarded' end
      adder.withdraw(ids[index])
      return marked
    end
    -- Whether its key has a job is known only once the item before it has been dealt with.
    if kind == 'after' then return outcomes[detail] == 'forwarded' and 'duplicate' or outcomes[detail] end
    if kind == 'rejected' then return 'rejected:' .. detail end
    if kind == 'refused' then return detail end
    if kind == 'existing' then
      local marked = mark(index, detail)
      return refused(marked) and marked or 'duplicate'
    end
    return kind
  end
  function forwarding.finish()
    local refusal = adder.finish()
    for index = 1, last do
      if kinds[index] then outcomes[index] = ended(index, refusal) end
    end
    return outcomes
  end
  return forwarding
end
