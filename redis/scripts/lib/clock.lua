--[[
  serverNow() returns the server's time in milliseconds. It is the only clock that all clients of a stream share.
]]
local function serverNow()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Lua writes large numbers with 14 digits only; a time or a count needs all of them.
local function digits(number) return string.format('%.0f', number) end
