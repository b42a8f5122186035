--[[
  Counts entries after an id, up to `most` entries or `bytes` bytes. Only the count is returned, since entries may be large. The size of the
  entries read so far decides how many are read next.

  KEYS
    stream    stream

  ARGV
    after     text      id
    most      integer   entries
    bytes     integer   of their fields
    pageBytes integer   of one read, about

  REPLY
    entries   integer
    last      text      id of the last one counted
    complete  flag      no entry is left after it

  WRITES
    none
]]
local entries, passed, last, page = 0, 0, after, 1
while entries < most and passed < bytes do
  local read = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', math.min(page, most - entries))
  if #read == 0 then return {entries, last, 1} end
  for _, entry in ipairs(read) do
    for _, text in ipairs(entry[2]) do passed = passed + #text end
  end
  entries, last = entries + #read, read[#read][1]
  page = math.max(1, math.min(100, math.floor(pageBytes * entries / math.max(1, passed))))
end
local left = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)
return {entries, last, #left == 0 and 1 or 0}
