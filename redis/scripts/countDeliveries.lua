--[[
  How often entries were delivered.

  KEYS
    stream   stream

  ARGV
    group    text
    ids      text[]

  REPLY
    counts   integer[]   per id; 0 for one that is not pending

  WRITES
    none
]]
local counts = {}
for i, id in ipairs(ids) do
  local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
  counts[i] = row and math.max(1, row[4]) or 0
end
return {counts}
