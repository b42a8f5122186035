--[[
  before(a, b) compares two entry ids. Each part may have up to 20 digits, more than a Lua number holds: long ones are compared as text.
  successor(id) returns the next id. predecessor(id) returns the id before, a lower id, or nil. Lua's numbers are exact to 15 digits
  only. So where the second part is longer, it returns the last id of the millisecond before; where the first part is too long as
  well, nil.
]]
local function before(a, b)
  local ms, seq = string.match(a, '^(%d+)-(%d+)$')
  local otherMs, otherSeq = string.match(b, '^(%d+)-(%d+)$')
  local function less(x, y)
    if #x <= 15 and #y <= 15 then return tonumber(x) < tonumber(y) end
    return string.rep('0', 20 - #x) .. x < string.rep('0', 20 - #y) .. y
  end
  if ms ~= otherMs then return less(ms, otherMs) end
  return less(seq, otherSeq)
end
local largest = '18446744073709551615'
local function plusOne(text)
  local head, digit, nines = string.match(text, '^(%d-)([0-8]?)(9*)$')
  return head .. (digit == '' and '1' or string.char(string.byte(digit) + 1)) .. string.rep('0', #nines)
end
local function successor(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if seq ~= largest then return ms .. '-' .. plusOne(seq) end
  return ms == largest and id or plusOne(ms) .. '-0'
end
local function predecessor(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if #seq <= 15 and seq ~= '0' then return ms .. '-' .. string.format('%.0f', seq - 1) end
  if #ms <= 15 and ms ~= '0' then return string.format('%.0f', ms - 1) .. '-18446744073709551615' end
  return nil
end
