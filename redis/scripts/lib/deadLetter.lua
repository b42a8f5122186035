--[[
  The only writer of the dead-letter record; redis/record.ts reads it back.

  roomForDeadLetter(deadLetters, max, before) returns nil when one more record fits, or an error reply: FULL, or the server's own.
  before: records that will be written before it, default 0.
  writeDeadLetter(deadLetters, record, now, index) adds one record. It returns nil and the record's id, or the server's error reply.
  record: originalId, stream, group, consumer, deliveries, reason, error, payload (MessagePack of field, value, …), idempotencyKey,
  firstSeen (ms), redrives; of failed jobs also stacktrace, and altered: the payload is not known to be what came in.
  now: the server's time, ms; asked for where it is not given.
  index: prefix of the index's keys. Such a key ends with the hash of an idempotency key, or with an entry's id where there is no
  hash. It holds the id of the newest record, and lives for a week. After that week, `status` finds a record only by a bounded
  search.

  WRITES
    1 XADD deadLetters   a refusal is returned, and nothing was written
    2 SET index          a refusal is passed over: the record counts
]]
-- @include clock
-- @include replies
local function roomForDeadLetter(deadLetters, max, before)
  local length = redis.pcall('XLEN', deadLetters)
  if refused(length) then return length end
  if length + (before or 0) < max then return nil end
  return redis.error_reply('FULL ' .. deadLetters .. ' holds ' .. max .. ' dead letters')
end
local indexLifeMs = '604800000'
local function writeDeadLetter(deadLetters, record, now, index)
  local content = {
    'originalId', record.originalId, 'stream', record.stream, 'group', record.group, 'consumer', record.consumer,
    'deliveries', record.deliveries, 'reason', record.reason, 'error', record.error, 'payload', record.payload,
    'idempotencyKey', record.idempotencyKey, 'firstSeen', record.firstSeen, 'deadAt', now or serverNow(), 'redrives', record.redrives
  }
  if record.stacktrace and record.stacktrace ~= '' then
    content[#content + 1] = 'stacktrace'
    content[#content + 1] = record.stacktrace
  end
  if record.altered then
    content[#content + 1] = 'altered'
    content[#content + 1] = '1'
  end
  local written = redis.pcall('XADD', deadLetters, '*', unpack(content))
  if refused(written) then return written end
  local name = record.idempotencyKey ~= '' and record.idempotencyKey or record.originalId
  if name ~= '' then attempt(redis.call, 'SET', index .. name, written, 'PX', indexLifeMs) end
  return nil, written
end
