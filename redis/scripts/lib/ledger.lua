--[[
  assess(stream, groupName, stats) forms the ledger's sum and decides what it means; it only reads. It returns nil where there is no
  such group. record(stats, state) writes what was decided. account() does both, and returns the state or nil.

  state: lost (nil while it cannot be known without counting), and what redis/stream/ledger.ts explains; info and group as XINFO says.

  WRITES of record
    1 HSET stats             a refusal leaves the ledger as it was; the next account repeats the step
    2 HINCRBY stats rebases  a refusal leaves one rebase uncounted
]]
-- @include group
-- @include entryIds
-- @include clock
local seenFields = {'cursor', 'gone', 'open', 'sumCursor', 'sumUnread', 'sumAdded', 'sumFloor', 'sumAt'}
local function seenFrom(text)
  if not text then return nil end
  local seen, at = {}, 0
  for word in string.gmatch(text, '%S+') do
    at = at + 1
    seen[seenFields[at]] = tonumber(word) or word
  end
  return at == #seenFields and seen or nil
end
local function seenText(seen)
  local words = {}
  for i, name in ipairs(seenFields) do
    words[i] = type(seen[name]) == 'number' and digits(seen[name]) or seen[name]
  end
  return table.concat(words, ' ')
end

-- Entries after the cursor, where the two ends of the stream show it.
local function undelivered(info, cursor)
  if info.length == 0 or not before(cursor, info['last-entry'][1]) then return 0 end
  if before(cursor, info['first-entry'][1]) then return info.length end
  return nil
end

-- Entries that left the stream since the last look and may have been unread: none where all were at or below its cursor.
local function openRemovals(info, gone, seen)
  local removed = gone - seen.gone
  if removed <= 0 then return 0 end
  local first, deleted = info['first-entry'], info['max-deleted-entry-id'] or '0-0'
  if first and not before(seen.cursor, first[1]) and not before(seen.cursor, deleted) then return 0 end
  return removed
end

-- The meaning of a sum that has grown: entries cut unread, and entries that may be cut or taken by others.
local function cutUnread(state, seen, grown)
  local most = math.min(grown, seen.open)
  if most <= 0 then return 0, 0 end
  if state.cursor == seen.sumCursor then
    return math.max(0, math.min(most, seen.sumUnread + state.added - seen.sumAdded - state.waiting)), 0
  end
  local undecided = math.min(most, state.info.length - state.waiting)
  return most - undecided, undecided
end

local function takeUp(state, seen, taken, undecided)
  if taken + undecided > 0 and state.unaccounted + state.undecided == 0 then
    state.missingFrom, state.missingSince = seen.sumFloor, seen.sumAt
  end
  if taken + undecided > 0 then state.missingTo = state.cursor end
  state.unaccounted = state.unaccounted + taken
  state.undecided = state.undecided + undecided
end

local function compare(state, seen, now)
  local known = state.settled + state.trimmedPending + state.group.pending + state.waiting
  local reported = state.reported - state.lostBefore
  if not state.base then
    state.base, state.lostBefore = state.added - known, state.reported
  else
    local grown = state.added - state.base - known - reported
    if grown > 0 then
      local cut, undecided = cutUnread(state, seen, grown)
      takeUp(state, seen, grown - cut - undecided, undecided)
      state.reported = state.reported + cut
      state.base = state.base + grown - cut
    elseif grown < 0 then
      state.base = state.base + grown
      state.unaccounted = math.max(0, state.unaccounted + grown)
      state.rebased = true
    end
  end
  state.lost = state.reported
  seen.open = 0
  seen.sumCursor, seen.sumUnread, seen.sumAdded, seen.sumAt = state.cursor, state.waiting, state.added, now
  seen.sumFloor = state.lowest and (predecessor(state.lowest) or '0-0') or state.cursor
end

-- Entries that have left the stream cannot be delivered any more. Entries that XGROUP SETID has made undelivered again count as
-- accounted for.
local function forget(state)
  if state.unaccounted + state.undecided == 0 then return end
  local first = state.info['first-entry']
  if not first or before(state.missingTo, first[1]) then
    state.reported, state.lostBefore = state.reported + state.undecided, state.lostBefore + state.undecided
    state.unaccounted, state.undecided = 0, 0
  elseif not before(state.missingFrom, state.cursor) then
    state.unaccounted, state.undecided = 0, 0
  else
    state.unaccounted = math.min(state.unaccounted, state.info.length - (state.waiting or 1))
  end
  if state.lost then state.lost = state.reported end
end

local function assess(stream, groupName, stats)
  local info, group = fields(redis.call('XINFO', 'STREAM', stream)), groupOf(stream, groupName)
  if not group then return nil end
  local names = {'base', 'settled', 'trimmedPending', 'lost', 'lostBefore', 'unaccounted', 'undecided'}
  local held = redis.call('HMGET', stats, 'missingFrom', 'missingTo', 'missingSince', 'seen', unpack(names))
  local state = {
    info = info, group = group, added = info['entries-added'], cursor = group['last-delivered-id'],
    missingFrom = held[1], missingTo = held[2], missingSince = tonumber(held[3] or nil), rebased = false
  }
  if not tonumber(held[5] or nil) then held[5] = false end
  for i, name in ipairs(names) do
    local count = tonumber(held[i + 4] or '0')
    -- A count that another program spoilt ends this ledger: the sum begins anew.
    if not count then held[5] = false end
    state[name] = count or 0
  end
  if not held[5] then state.base = nil end
  state.reported, state.lost = state.lost, nil
  local highest = nil
  if group.pending > 0 then
    local summary = redis.call('XPENDING', stream, groupName)
    state.lowest, highest = summary[2], summary[3]
  end
  local gone, now = state.added - info.length, serverNow()
  local seen = seenFrom(held[4]) or {
    cursor = state.cursor, gone = gone, open = 0,
    sumCursor = '?', sumUnread = 0, sumAdded = state.added, sumFloor = '0-0', sumAt = now
  }
  seen.open = seen.open + openRemovals(info, gone, seen)
  -- XGROUP SETID has set the cursor back: the entries after it may be read and taken anew.
  if before(state.cursor, seen.sumFloor) then seen.sumFloor = state.cursor end
  seen.cursor, seen.gone = state.cursor, gone
  state.waiting, state.seen = undelivered(info, state.cursor), seen
  -- After XGROUP SETID backward entries are pending and undelivered at once, until they are read again.
  if highest and before(state.cursor, highest) then state.waiting = nil end
  if state.waiting then compare(state, seen, now) end
  forget(state)
  return state
end

local function record(stats, state)
  local written = {'lost', state.reported, 'lostBefore', state.lostBefore, 'seen', seenText(state.seen)}
  if state.base then
    written[#written + 1] = 'base'
    written[#written + 1] = state.base
  end
  for _, name in ipairs({'unaccounted', 'undecided', 'missingFrom', 'missingTo', 'missingSince'}) do
    if state[name] then
      written[#written + 1] = name
      written[#written + 1] = state[name]
    end
  end
  redis.call('HSET', stats, unpack(written))
  if state.rebased then redis.call('HINCRBY', stats, 'rebases', 1) end
end

local function account(stream, groupName, stats)
  local state = assess(stream, groupName, stats)
  if state then record(stats, state) end
  return state
end
