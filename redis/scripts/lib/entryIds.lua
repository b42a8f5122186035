--[[
  before(a, b) compares two entry ids. Each part may have up to 20 digits, more than a Lua number holds: long ones are compared as text.
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
