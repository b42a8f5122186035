--[[
  before(a, b) compares two entry ids. Both parts have up to 20 digits, more than a Lua number holds, so they are compared as text.
]]
local function before(a, b)
  local function padded(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    return string.rep('0', 20 - #ms) .. ms .. string.rep('0', 20 - #seq) .. seq
  end
  return padded(a) < padded(b)
end
