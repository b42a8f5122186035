--[[
  slice(list, from, count) copies a part of a list; unpack's results are limited, and batches may be long.
  rows(packed, width) unpacks a MessagePack list; each call of what it returns begins an iteration, `width` values at a time. redis/scripts/packer.ts says why lists come packed.
]]
local function slice(list, from, count)
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
