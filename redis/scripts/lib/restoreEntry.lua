--[[
  restoreEntry(stream, deadLetters, id) puts the entry of a dead letter back into its stream, with the bytes it had, and deletes the
  record. Returns the new entry's id, 'gone' (no such record) or 'empty' (a record without payload).

  WRITES
    1 XADD stream        a refusal leaves the record
    2 XDEL deadLetters   a refusal leaves the record beside the new entry
]]
-- @include replies
local function restoreEntry(stream, deadLetters, id)
  local found = redis.call('XRANGE', deadLetters, id, id)[1]
  if not found then return 'gone' end
  local record = fields(found[2])
  if (record.payload or '') == '' then return 'empty' end
  local flat = cmsgpack.unpack(record.payload)
  local entry = {}
  for i = 1, #flat, 2 do
    if flat[i] ~= 'sp-redrives' then entry[#entry + 1] = flat[i]; entry[#entry + 1] = flat[i + 1] end
  end
  if #entry == 0 then return 'empty' end
  entry[#entry + 1] = 'sp-redrives'
  entry[#entry + 1] = tostring((tonumber(record.redrives) or 0) + 1)
  local added = redis.call('XADD', stream, '*', unpack(entry))
  redis.call('XDEL', deadLetters, id)
  return added
end
