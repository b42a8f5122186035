--[[
  Trimming that never holds Redis for long: small steps, bounded by entries and by bytes.

  trimBelow(stream, bound, budget, most, rest) trims entries below an id, `most` at the most; it leaves what approximation leaves if
  that is no more than `rest`. trimAbove(stream, over, budget) trims that many of the oldest entries. Both return how many went.
  budget: entries, bytes; it gets `spent` when it ended the work.

  A step trims approximately, which frees whole nodes of the stream in no time. Its limit grows until the first node fits in. Where only
  part of that node may go, entries go exactly, one step per call: that marks them one by one, and every look at the first entry
  walks over those marked.
]]
-- @include entryIds
local firstLimit, lastLimit, exactEntries, exactBytes = 128, 16384, 512, 524288
local function sizeOf(entry)
  local bytes = 1
  for _, part in ipairs(entry[2]) do bytes = bytes + #part end
  return bytes
end
-- The size of the first entry; nothing when the budget is spent, or nothing is left. budget.head: it, where it is known already.
local function nextSize(stream, budget, bound)
  if budget.entries <= 0 or budget.bytes <= 0 then
    budget.spent = true
    return nil
  end
  local head = budget.head or redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  budget.head = head
  if not head or bound and not before(head[1], bound) then return nil end
  return sizeOf(head)
end
-- Trims whole nodes of at most `most` entries together; 0 where the first node holds more, or only part of it may go.
local function trimNodes(stream, how, bound, budget, most, bytes)
  local fits = math.max(16, math.floor(budget.bytes / bytes))
  local limit = budget.limit or firstLimit
  while true do
    local step = math.min(limit, most, fits)
    local removed = redis.call('XTRIM', stream, how, '~', bound, 'LIMIT', step)
    if removed > 0 then
      budget.limit = limit
      return removed
    end
    if step < limit or limit >= lastLimit then return 0 end
    limit = limit * 2
  end
end
-- The id at which an exact step ends, and whether there are more than `rest` entries before the bound. A look at an entry copies
-- it, whatever its size. So the search reads a few entries first, and fewer in all if these are large.
local function exactEnd(stream, bound, most, rest, bytes)
  local count = math.min(most, math.max(1, math.floor(exactBytes / bytes)))
  local page = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(16, count + 1))
  local largest = 1
  for _, entry in ipairs(page) do largest = math.max(largest, sizeOf(entry)) end
  count = math.min(count, math.max(1, math.floor(exactBytes / largest)))
  if count >= #page then page = redis.call('XRANGE', stream, '-', '+', 'COUNT', count + 1) end
  local last = page[math.min(#page, count + 1)][1]
  if #page > count and before(last, bound) then return last, true end
  local beyond = page[rest + 1]
  return bound, beyond ~= nil and before(beyond[1], bound)
end
local function pay(budget, entries, bytes)
  budget.entries, budget.bytes, budget.head = budget.entries - entries, budget.bytes - entries * bytes, nil
  return entries
end
local function trimBelow(stream, bound, budget, most, rest)
  local total = 0
  while total < most do
    local bytes = nextSize(stream, budget, bound)
    if not bytes then break end
    local removed = trimNodes(stream, 'MINID', bound, budget, most - total, bytes)
    if removed == 0 then
      local upTo, more = exactEnd(stream, bound, math.min(exactEntries, most - total), rest, bytes)
      if not more then break end
      removed = redis.call('XTRIM', stream, 'MINID', '=', upTo)
      budget.entries = 0
    end
    total = total + pay(budget, removed, bytes)
  end
  return total
end
local function trimAbove(stream, over, budget)
  local total, length = 0, redis.call('XLEN', stream)
  while total < over do
    local bytes = nextSize(stream, budget, nil)
    if not bytes then break end
    local removed = trimNodes(stream, 'MAXLEN', length - over, budget, over - total, bytes)
    if removed == 0 then
      removed = redis.call('XTRIM', stream, 'MAXLEN', '=', length - total - math.min(exactEntries, over - total))
      budget.entries = 0
    end
    total = total + pay(budget, removed, bytes)
  end
  return total
end
