--[[
  slice(list, from, count) copies a part of a list. A list made from unpack's results does not grow step by step; but these are limited to
  some 8,000, and batches may be long.
  rows(packed, width) unpacks a MessagePack list; each call of what it returns begins an iteration, `width` values at a time. redis/scripts/packer.ts says why lists come packed.
]]
local function slice(list, from, count)
  if tonumber(count) <= 4000 then return {unpack(list, from, from + count - 1)} end
  local part = {}
  for i = 1, count do part[i] = list[from + i - 1] end
  return part
end
local function rows(packed, width)
  local list = cmsgpack.unpack(packed)
  return function()
    local at = 1 - width
    return function()
      at = at + width
      return unpack(list, at, at + width - 1)
    end
  end
end
