--[[
  One job per key, decided first and written afterwards. `queue` is the prefix of the queue's keys, with its last colon. `adder` adds
  (bullAdd.lua, specialisedAdd.lua). Facts of an item stand in lists, under the item's number. Most lists hold nothing for the usual
  case, an item that is added and marked: a table for each item, or one more list that grows, would cost more than most commands.

  standingIn(keys, marks) says whether any of these jobs or marks exists: one command each in place of one per item. In most scripts none
  does. All types of the queue's keys must have been checked before the first item is decided.

  createForwarding(queue, adder, items, how) begins.
    items.ids, items.keys, items.marks, items.origins   per item: job id, its key, the mark's key, and what the mark will hold
    how.stands     standingIn's
    how.windowMs   life of a mark
    how.now        serverNow's
    how.held       heldQueue's
  forwarding.decide(index) decides, in the order of the numbers, of which some may be left out. It finds one of
    'duplicate'   a mark, or another item of this script, stands for the key
    'existing'    a job stands for it, finished within the window or still in one of the queue's lists; the mark is written again for
                  the rest of the window (a second at least), counted from the job's finish. For an unfinished job it counts from when the
                  job was made.
                  Lists of up to a thousand jobs are searched. The search of longer ones would hold Redis, so the job's own note
                  decides (spAdded). The script that put the job into a list wrote the note. BullMQ moves the job out of that list
                  in one step, or deletes it. Only a job without that note, of an earlier release, is searched there as well, and
                  gets the note when found
    'add'         to be added. A job makes way that was finished longer ago. So does one that an aborted add left in no list: no
                  worker would ever take it
    'rejected'    the key of the mark, the job or its lock holds something else; an error would stop its whole batch for ever
    'refused'     the queue is held (queueKeys.lua)
  Times that other programs wrote into a job are believed only where they can be true.
  forwarding.makeWay(), after all are decided, removes the jobs that make way.
  forwarding.add(index, add, data, options) comes next, once per item, in the order of the numbers. It begins the job if the item is
  to be added.
  forwarding.finish() does the rest for all. It returns the number of forwarded items, and a list. For each decided
  item the list holds 'forwarded', 'duplicate', 'rejected:<why>' or an error reply. After an error reply no job of the item is left;
  BullMQ's events and counters are not taken back.

  WRITES
    1 BullMQ's removal, ZREM, DEL job, per job that makes way   a refusal is returned, and what is left of the job is removed
    2 adder.add, per job     a refusal is returned; what it left of the job is removed again
    3 adder.finish           a refusal is returned for all jobs; they are removed again
    4 SET mark, per item     a refusal is returned; the job is removed again
    5 HSET job spAdded, per job that was found in a list   a refusal leaves a job that is searched again
]]
-- @include bullRemove
-- @include queueKeys
-- @include replies
-- @include longQueue
-- @include forgetJob
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
local function standingIn(keys, marks)
  return #keys > 0 and redis.call('EXISTS', unpack(keys)) + redis.call('EXISTS', unpack(marks)) > 0
end
local function createForwarding(queue, adder, items, how)
  local call = redis.call
  local ids, keys, marks, origins = items.ids, items.keys, items.marks, items.origins
  local stands, windowMs, now, held = how.stands, how.windowMs, how.now, how.held
  -- As text: Redis would write the number anew for each mark.
  local life = string.format('%.0f', windowMs)
  -- Of items that are not simply added. outcomes: why an item failed so far.
  local kinds, details, outcomes, found = {}, {}, {}, {}
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
    local known = call('HMGET', key, 'timestamp', 'finishedOn', 'spAdded')
    local remaining = math.ceil(since(known[2] or known[1]) + windowMs - now)
    if known[2] then
      if remaining > 0 then return 'existing', math.max(1000, remaining) end
      local lock = call('TYPE', key .. ':lock').ok
      if lock ~= 'none' and lock ~= 'string' then return foreign(key .. ':lock', lock, 'lock') end
      return 'add', 'finished'
    end
    local noted = known[3] == '1'
    if noted and isLong(queue) then return 'existing', math.max(1000, remaining) end
    if inQueue(queue, id) then
      found[id] = not noted
      return 'existing', math.max(1000, remaining)
    end
    return 'add', 'unfinished'
  end
  local function makeWay(id, present)
    if present == 'finished' then
      local removed = bullRemove(queue .. id, id, queue)
      if refused(removed) then return removed end
      -- BullMQ removes no job with a lock that was left behind. Such a job must not be taken for the job that is added now, nor
      -- stay in another list.
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
    forgetJob(queue .. id)
  end
  local forwarding = {}
  function forwarding.decide(index)
    local id = ids[index]
    last = index
    if adding[id] then
      kinds[index], details[index] = 'after', adding[id]
      return
    end
    local kind, detail = 'add', nil
    if stands and call('EXISTS', marks[index], keys[index]) > 0 then kind, detail = standing(id, keys[index], marks[index]) end
    if kind == 'add' and held then kind, detail = 'refused', held end
    if kind ~= 'add' then
      kinds[index], details[index] = kind, detail
      return
    end
    adding[id] = index
    if detail then
      leaving[#leaving + 1] = index
      details[index] = detail
    end
  end
  function forwarding.makeWay()
    for _, index in ipairs(leaving) do
      local blocked = attempt(makeWay, ids[index], details[index])
      if blocked then attempt(clear, ids[index]) end
      outcomes[index] = blocked
    end
  end
  function forwarding.add(index, add, data, options)
    local id = ids[index]
    if adding[id] ~= index or outcomes[index] then return end
    local failed = adder.add(id, keys[index], add, data, options)
    if failed then outcomes[index] = failed end
  end
  local function mark(index, lifeMs) return send('SET', marks[index], origins[index], 'PX', lifeMs) end
  local function added(index, refusal)
    local outcome = outcomes[index] or refusal
    if outcome then return outcome end
    local marked = mark(index, life)
    if not refused(marked) then return 'forwarded' end
    adder.withdraw(ids[index])
    return marked
  end
  local function ended(index)
    local kind, detail = kinds[index], details[index]
    -- Whether its key has a job is known only once the item before it has been dealt with.
    if kind == 'after' then return outcomes[detail] == 'forwarded' and 'duplicate' or outcomes[detail] end
    if kind == 'rejected' then return 'rejected:' .. detail end
    if kind == 'refused' then return detail end
    if kind == 'existing' then
      local marked = mark(index, detail)
      if refused(marked) then return marked end
      if found[ids[index]] then send('HSET', keys[index], 'spAdded', '1') end
      return 'duplicate'
    end
    return kind
  end
  function forwarding.finish()
    local refusal, forwarded = adder.finish(), 0
    for index = 1, last do
      local outcome
      if adding[ids[index]] == index then outcome = added(index, refusal)
      elseif kinds[index] then outcome = ended(index) end
      outcomes[index] = outcome
      if outcome == 'forwarded' then forwarded = forwarded + 1 end
    end
    return forwarded, outcomes
  end
  return forwarding
end
