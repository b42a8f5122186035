--[[
  slice(list, from, count) copies a part of a list; unpack's results are limited, and batches may be long.
  rows(packed, width) iterates over a MessagePack list, `width` values at a time. redis/scripts/packer.ts says why lists come packed.
]]
local function slice(list, from, count)
  local part = {}
  for i = 1, count do part[i] = list[from + i - 1] end
  return part
end
local function rows(packed, width)
  local list, at = cmsgpack.unpack(packed), 1 - width
  return function()
    at = at + width
    return unpack(list, at, at + width - 1)
  end
end
