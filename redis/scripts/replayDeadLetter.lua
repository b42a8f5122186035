--[[
  A replay in one step, where stream and queue are together. Two at once give one new entry and one `gone`.

  KEYS
    stream       stream
    deadLetters  stream
    queue        any      prefix of the queue's keys, with its last colon
    mark         string

  ARGV
    id           text     of the record
    jobId        text     empty where the record has no idempotency key

  REPLY
    outcome      text     the new entry's id, gone, empty or busy

  WRITES
    1 clearJob's (lib/clearJob.lua)           a refusal leaves the record; the next replay does the rest
    2 restoreEntry's (lib/restoreEntry.lua)
]]
-- @include clearJob
-- @include restoreEntry
if #redis.call('XRANGE', deadLetters, id, id) == 0 then return {'gone'} end
if jobId ~= '' then
  local standing = clearJob(queue, jobId, mark)
  if standing then return {standing} end
end
return {restoreEntry(stream, deadLetters, id)}
