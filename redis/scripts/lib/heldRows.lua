--[[
  Pending rows that keep their place: renewed, handed back, released. createHeldRows(place, now) begins; place: stream, deadLetters, stats,
  group, max.

  heldRows.locate(row) returns 'gone' where the stream does not hold the entry, 'there', or 'likely' (lib/existence.lua).
  heldRows.claim(consumer, row, …) sends XCLAIM for a row whose entry is not gone; … are XCLAIM's words after the id. It returns
    'claimed'
    'dead'      XCLAIM found the entry gone; its record is written (Trimmed)
    nil and the error reply of the refused command
  heldRows.deadLetter(row) records a row whose entry is gone, as deadLetterTrimmed does.
  heldRows.bytes() returns the number of copied bytes.

  XCLAIM deletes the row of an entry that is gone. In a stream that a Redis before 7 dumped, no entry is known to exist, and a look at each
  would copy its payload. So XCLAIM itself answers: where its reply lacks the id, the record is written from the known row. Only while no
  record can be written is each such entry looked at first.

  WRITES of claim
    1 XCLAIM                                             a refusal is returned
    2 deadLetterTrimmed's, of an entry that XCLAIM found gone   asked for before; a refusal is returned
]]
-- @include trimmedEntry
-- @include existence
-- @include rights
local function createHeldRows(place, now)
  local existence = existenceIn(place.stream)
  local bytes, recordable = 0, nil
  local function asked()
    local holds = redis.call('TYPE', place.stats).ok
    return (holds == 'hash' or holds == 'none') and not roomForDeadLetter(place.deadLetters, place.max)
      and not forbidden('XADD', place.deadLetters, '*', 'field', 'value') and not forbidden('XACK', place.stream, place.group, '0-1')
      and not forbidden('HINCRBY', place.stats, 'trimmedPending', '1')
  end
  -- Checked once, and again after each record, which may have filled the room.
  local function mayRecord()
    if recordable == nil then recordable = asked() end
    return recordable
  end
  local held = {}
  function held.bytes() return bytes end
  function held.locate(row)
    local found = existence.of(row[1])
    if found == 'gone' or found == 'likely' and mayRecord() then return found end
    local there, copied = existence.look(row[1])
    bytes = bytes + copied
    return there and 'there' or 'gone'
  end
  function held.deadLetter(row)
    recordable = nil
    return deadLetterTrimmed(place, row[1], now, 0, row)
  end
  function held.claim(consumer, row, ...)
    local taken = attempt(redis.call, 'XCLAIM', place.stream, place.group, consumer, 0, row[1], ...)
    if refused(taken) then return nil, taken end
    if #taken > 0 then return 'claimed' end
    local outcome = held.deadLetter(row)
    if refused(outcome) then return nil, outcome end
    return outcome
  end
  return held
end
