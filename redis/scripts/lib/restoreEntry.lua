--[[
  readReplay(deadLetters, replays, id) says what a replay of a record would do. A table with outcome: gone (no such record), empty (a
  record without payload), damaged (its payload cannot be read), again (its entry went back already; `added` is its id), large (more
  fields than Lua passes to one command), or ready. With ready, `entry` holds field, value, …
  mayNotReplay(stream, deadLetters, replays, id) returns an error reply where the replay would be refused half-way, or nil.
  noteReplay, restoreEntry and endReplay are its writes; others may come between the first two.

  `replays` is a hash: id of a record → id of the new entry, which is empty until that was added. The note is written before the entry
  and again after it. A replay that cannot delete its record is thereby known to have added its entry, and a repeat only deletes.
  `after …` is the note that beginLargeReplay leaves until endLargeReplay runs: whether there is an entry is unknown, so a repeat adds. The
  consumer forwards one of two entries of a key.

  WRITES
    1 noteReplay: HSET replays ''          a refusal leaves everything as it was; only here may Redis be out of memory
    2 restoreEntry: XADD stream            a refusal is returned and leaves the record; the next replay adds
    3 restoreEntry: HSET replays           a refusal is passed over: the record goes next, and nothing needs the note any more
    4 endReplay: XDEL deadLetters          a refusal is raised and leaves the record, noted as replayed; the next replay deletes it
    5 endReplay: HDEL replays              a refusal is passed over and leaves a note about a record that is gone
]]
-- @include replies
-- @include rights
-- @include queueKeys
local mostArguments = 7000
local function readReplay(deadLetters, replays, id)
  local found = redis.call('XRANGE', deadLetters, id, id)[1]
  if not found then return {outcome = 'gone'} end
  local added = redis.call('HGET', replays, id)
  if added and added ~= '' and string.sub(added, 1, 6) ~= 'after ' then return {outcome = 'again', added = added} end
  local record = fields(found[2])
  if (record.payload or '') == '' then return {outcome = 'empty'} end
  local readable, flat, more = pcall(cmsgpack.unpack, record.payload)
  if not readable or more ~= nil or type(flat) ~= 'table' or #flat % 2 == 1 then return {outcome = 'damaged'} end
  local entry = {}
  for i = 1, #flat, 2 do
    if type(flat[i]) ~= 'string' or type(flat[i + 1]) ~= 'string' then return {outcome = 'damaged'} end
    if flat[i] ~= 'sp-redrives' then entry[#entry + 1] = flat[i]; entry[#entry + 1] = flat[i + 1] end
  end
  if #entry == 0 then return {outcome = #flat == 0 and next(flat) and 'damaged' or 'empty'} end
  entry[#entry + 1] = 'sp-redrives'
  entry[#entry + 1] = tostring((tonumber(record.redrives) or 0) + 1)
  return {outcome = #entry > mostArguments and 'large' or 'ready', entry = entry}
end
local function mayNotReplay(stream, deadLetters, replays, id)
  return wrongType(stream, 'stream') or forbidden('XADD', stream, '*', 'field', 'value') or forbidden('XDEL', deadLetters, id)
    or forbidden('HSET', replays, id, '') or forbidden('HDEL', replays, id)
end
local function noteReplay(replays, id) redis.call('HSET', replays, id, '') end
local function restoreEntry(stream, replays, id, entry)
  local added = attempt(redis.call, 'XADD', stream, '*', unpack(entry))
  if not refused(added) then attempt(redis.call, 'HSET', replays, id, added) end
  return added
end
local function endReplay(deadLetters, replays, id)
  redis.call('XDEL', deadLetters, id)
  attempt(redis.call, 'HDEL', replays, id)
end
