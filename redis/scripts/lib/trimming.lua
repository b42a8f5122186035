--[[
  Trimming that never holds Redis for long: small steps, bounded by entries and by bytes.

  trimBelow(stream, bound, budget, most) trims entries below an id, `most` at the most; trimAbove(stream, over, budget) trims that many
  of the oldest entries. Both return how many went. budget: entries, bytes, nodeEntries; it gets `spent` when it ended the work.

  A step trims approximately, which frees whole nodes of the stream in no time. Where a node is larger than a step, or only part of it
  may go, approximation removes nothing: then entries go exactly. That marks them one by one, so it counts for more; in nodes
  of the usual size the rest of one node is left.
]]
-- @include entryIds
local stepEntries, exactCost, exactBytes, smallNode = 128, 8, 524288, 128
local function sizeOf(entry)
  local bytes = 1
  for _, part in ipairs(entry[2]) do bytes = bytes + #part end
  return bytes
end
-- How many entries the next step may take; nothing when the budget is spent, or nothing is left.
local function nextStep(stream, budget, bound)
  local head = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not head or bound and not before(head[1], bound) then return nil end
  if budget.entries <= 0 or budget.bytes <= 0 then
    budget.spent = true
    return nil
  end
  local bytes = sizeOf(head)
  return math.max(1, math.min(stepEntries, math.floor(budget.bytes / bytes))), bytes
end
local function pay(budget, entries, bytes, cost)
  budget.entries, budget.bytes = budget.entries - entries * cost, budget.bytes - entries * bytes
  return entries
end
-- Looks only as far as it takes: an entry that is looked at is copied, whatever its size.
local function exactlyBelow(stream, bound, most)
  local upTo, from, seen, bytes = bound, '-', 0, 0
  while true do
    local page = redis.call('XRANGE', stream, from, '+', 'COUNT', math.min(8 + seen, most + 1 - seen))
    for _, entry in ipairs(page) do
      if not before(entry[1], bound) then return redis.call('XTRIM', stream, 'MINID', '=', bound) end
      seen, bytes, from, upTo = seen + 1, bytes + sizeOf(entry), '(' .. entry[1], entry[1]
      if seen > most or seen > 1 and bytes > exactBytes then return redis.call('XTRIM', stream, 'MINID', '=', upTo) end
    end
    if #page == 0 then return redis.call('XTRIM', stream, 'MINID', '=', bound) end
  end
end
local function trimBelow(stream, bound, budget, most)
  local total = 0
  while total < most do
    local step, bytes = nextStep(stream, budget, bound)
    if not step then break end
    step = math.min(step, most - total)
    local removed = redis.call('XTRIM', stream, 'MINID', '~', bound, 'LIMIT', step)
    local cost = 1
    if removed == 0 then
      if most == math.huge and budget.nodeEntries <= smallNode and step == stepEntries then break end
      removed, cost = exactlyBelow(stream, bound, step), exactCost
    end
    if removed == 0 then break end
    total = total + pay(budget, removed, bytes, cost)
  end
  return total
end
local function trimAbove(stream, over, budget)
  local total = 0
  while total < over do
    local step, bytes = nextStep(stream, budget, nil)
    if not step then break end
    step = math.min(step, over - total)
    local left = redis.call('XLEN', stream) - step
    local removed, cost = redis.call('XTRIM', stream, 'MAXLEN', '~', left, 'LIMIT', step), 1
    if removed == 0 then
      removed, cost = redis.call('XTRIM', stream, 'MAXLEN', '=', left), exactCost
    end
    total = total + pay(budget, removed, bytes, cost)
  end
  return total
end
