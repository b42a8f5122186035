--[[
  Reads whole keys of any type: what the self-tests at start compare.

  KEYS
    keys        any[]

  REPLY
    found       rows    per key
      .type     text    none where there is no such key
      .values   text[]  of a string: itself; of a hash: field, value, …; of a list: its items; of a sorted set: member, score, …; of a
                        stream, per entry: the number of its strings, then field, value, …

  WRITES
    nothing
]]
local readers = {
  string = function(key) return {redis.call('GET', key)} end,
  hash = function(key) return redis.call('HGETALL', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key)
    local values = {}
    for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
      values[#values + 1] = tostring(#entry[2])
      for _, text in ipairs(entry[2]) do values[#values + 1] = text end
    end
    return values
  end
}
local found = {}
for i, key in ipairs(keys) do
  local holds = redis.call('TYPE', key).ok
  found[i] = {holds, readers[holds] and readers[holds](key) or {}}
end
return {found}
