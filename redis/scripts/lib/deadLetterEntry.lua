--[[
  Dead letters of pending entries, decided first and written afterwards.

  createLetters(place) begins; place: stream, deadLetters, stats, group, max. The keys of the index stand beside stats.
  letters.decide(id, letter, row) reads what the record needs from the server's own copy of the entry, and returns 'dead', 'gone' (not
  pending any more, or not as overdue as demanded) or an error reply. letter: reason, error, hash, redrives, and minIdleMs and
  minDeliveries (default 0), which leave alone an entry that a consumer may be working on. With redrives 0 the entry's own number of
  replays counts: a consumer does not fetch an entry that may end it. row: its pending row, where it is known.
  letters.write(now) writes what was decided. It returns the ids whose record was written, and a table id → error reply.
  letters.undo() deletes those records.

  A user who may not acknowledge gets no record: the entry would stay pending and be recorded again.

  WRITES
    1 XADD deadLetters, per letter   a refusal is returned; that entry stays pending
    2 SET index, per letter          a refusal is passed over
]]
-- @include deadLetter
local function createLetters(place)
  local decided, written = {}, {}
  local barred, bytes = nil, 0
  local index = string.sub(place.stats, 1, -6) .. 'dead:'
  local function mayWrite(id)
    if barred == nil then barred = redis.acl_check_cmd and not redis.acl_check_cmd('XACK', place.stream, place.group, id) end
    if barred then return redis.error_reply('NOPERM the user may not XACK ' .. place.stream) end
    return roomForDeadLetter(place.deadLetters, place.max, #decided)
  end
  local function replaysOf(flat)
    for i = 1, #flat, 2 do
      if flat[i] == 'sp-redrives' then return #flat[i + 1] < 10 and string.match(flat[i + 1], '^%d+$') or 0 end
    end
    return 0
  end
  local letters = {}
  function letters.decide(id, letter, row)
    row = row or redis.call('XPENDING', place.stream, place.group, id, id, 1)[1]
    if not row or row[3] < (letter.minIdleMs or 0) or row[4] < (letter.minDeliveries or 0) then return 'gone' end
    local refusal = mayWrite(id)
    if refusal then return refusal end
    local entry = letter.reason ~= 'Trimmed' and redis.call('XRANGE', place.stream, id, id)[1]
    local failure = letter.error
    if not entry and letter.reason ~= 'Trimmed' then failure = failure .. ' (the entry itself has been trimmed)' end
    local payload = entry and cmsgpack.pack(entry[2]) or ''
    bytes = bytes + #payload
    local redrives = letter.redrives
    if entry and tonumber(redrives) == 0 then redrives = replaysOf(entry[2]) end
    decided[#decided + 1] = {
      originalId = id, stream = place.stream, group = place.group, consumer = row[2], deliveries = row[4],
      reason = letter.reason, error = failure, payload = payload, idempotencyKey = letter.hash,
      firstSeen = string.match(id, '^%d+'), redrives = redrives
    }
    return 'dead'
  end
  function letters.bytes() return bytes end
  function letters.write(now)
    local ids, refusals = {}, {}
    for _, record in ipairs(decided) do
      local refusal, id = writeDeadLetter(place.deadLetters, record, now, index)
      if refusal then refusals[record.originalId] = refusal
      else
        written[#written + 1] = id
        ids[#ids + 1] = record.originalId
      end
    end
    return ids, refusals
  end
  function letters.undo()
    for _, id in ipairs(written) do attempt(redis.call, 'XDEL', place.deadLetters, id) end
  end
  return letters
end
