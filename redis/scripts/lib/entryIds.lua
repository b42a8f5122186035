--[[
  before(a, b) compares two entry ids. Each part may have up to 20 digits, more than a Lua number holds: long ones are compared as text.
  successor(id) and predecessor(id) return the ids next to it. Lua's numbers are exact to 15 digits: beside a longer part successor()
  returns nil, and predecessor() a lower id, or nil.
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
local function successor(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return #seq <= 15 and ms .. '-' .. string.format('%.0f', seq + 1) or nil
end
local function predecessor(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if #seq <= 15 and seq ~= '0' then return ms .. '-' .. string.format('%.0f', seq - 1) end
  if #ms <= 15 and ms ~= '0' then return string.format('%.0f', ms - 1) .. '-18446744073709551615' end
  return nil
end
