--[[
  deadLetterEntry(place, id, letter) records one pending entry, from the server's own copy of it. It does not acknowledge.
  place: stream, deadLetters, group, max. letter: reason, error, hash, redrives, and minIdleMs and minDeliveries (default 0), which
  leave alone an entry that somebody may be working on.
  Returns 'dead', 'gone' (not pending any more, or not as overdue as demanded), or an error reply.

  Redis refuses for want of memory only until a script has written, so nothing is written before the record. A user who may not
  acknowledge gets no record either: the entry would stay pending and be recorded again.

  WRITES
    1 XADD deadLetters   a refusal is returned; the entry stays pending
]]
-- @include deadLetter
local function deadLetterEntry(place, id, letter)
  local row = redis.call('XPENDING', place.stream, place.group, id, id, 1)[1]
  if not row or row[3] < (letter.minIdleMs or 0) or row[4] < (letter.minDeliveries or 0) then return 'gone' end
  if redis.acl_check_cmd and not redis.acl_check_cmd('XACK', place.stream, place.group, id) then
    return redis.error_reply('NOPERM the user may not XACK ' .. place.stream)
  end
  local full = roomForDeadLetter(place.deadLetters, place.max)
  if full then return full end
  local entry = redis.call('XRANGE', place.stream, id, id)[1]
  local reason, failure = letter.reason, letter.error
  if not entry and reason ~= 'Trimmed' then failure = failure .. ' (the entry itself has been trimmed)' end
  return writeDeadLetter(place.deadLetters, {
    originalId = id, stream = place.stream, group = place.group, consumer = row[2], deliveries = row[4],
    reason = reason, error = failure, payload = entry and cmsgpack.pack(entry[2]) or '', idempotencyKey = letter.hash,
    firstSeen = string.match(id, '^%d+'), redrives = letter.redrives
  }) or 'dead'
end
