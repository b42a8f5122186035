--[[
  Types of keys, in one command: an operator asks this of a thousand pipelines every half minute.

  KEYS
    keys    any[]    of one slot

  REPLY
    types   text[]   as TYPE names them; none where a key does not exist

  WRITES
    none
]]
local types = {}
for i, key in ipairs(keys) do types[i] = redis.call('TYPE', key).ok end
return {types}
