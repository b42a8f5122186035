--[[
  A replay in one step, where stream and queue are together. Two at once give one new entry and one `gone`.

  KEYS
    stream       stream
    deadLetters  stream
    replays      hash     id of a record → id of its new entry
    queue        any      prefix of the queue's keys, with its last colon
    mark         string

  ARGV
    id           text     of the record
    jobId        text     empty where the record has no idempotency key

  REPLY
    outcome      text     the new entry's id, gone, empty, damaged, busy, foreign:<type>:<key> (lib/clearJob.lua), or large:
                          lookAtReplay and its like do it in steps

  WRITES
    1 noteReplay's (lib/restoreEntry.lua)     a refusal leaves everything as it was
    2 clearJob's (lib/clearJob.lua)           a refusal leaves the record; the next replay does the rest
    3 restoreEntry's (lib/restoreEntry.lua)   a refusal leaves the record; the next replay adds
    4 endReplay's (lib/restoreEntry.lua)      a refusal leaves a record that is noted as replayed
]]
-- @include clearJob
-- @include restoreEntry
local replay = readReplay(deadLetters, replays, id)
local refusal = mayNotReplay(stream, deadLetters, replays, id)
if replay.outcome == 'again' then
  if refusal then return refusal end
  endReplay(deadLetters, replays, id)
  return {replay.added}
end
if replay.outcome ~= 'ready' then return {replay.outcome} end
local standing = jobId ~= '' and jobInTheWay(queue, jobId, mark) or nil
if standing and standing ~= 'finished' then return {standing} end
refusal = refusal or jobId ~= '' and mayNotClear(queue, jobId, mark) or nil
if refusal then return refusal end
noteReplay(replays, id)
local stop = jobId ~= '' and clearJob(queue, jobId, mark, standing)
if stop then
  attempt(redis.call, 'HDEL', replays, id)
  return refused(stop) and stop or {stop}
end
local added = restoreEntry(stream, replays, id, replay.entry)
if refused(added) then return added end
endReplay(deadLetters, replays, id)
return {added}
