--[[
  Adds entries in Stream mode. It reads the mode that the operator keeps in Redis and adds in one step, so that whatever is dispatched
  after a flip goes the new way, and nothing goes both.

  Consumers of a release before options of a request drop them without a word, and so do consumers whose pipeline allows none. So options
  are added only while every registered consumer with a heartbeat says in it that it takes them.

  KEYS
    stream      stream
    modeKeys    string[]  the mode's key; none where the mode is pinned

  ARGV
    mode        text      what counts where Redis holds no mode: Stream or Direct
    registry    text      key of the hash that names the consumers; empty where no entry has options. It is no member of KEYS, since EVAL
                          needs the right to write those
    heartbeats  text      what the keys of heartbeats begin with
    maxEntries  integer   approximate bound of the stream's length; 0 for none
    lengths     integer[] per entry: the number of its strings
    strings     text[]    field, value, … of all entries

  REPLY
    ids         text[]?   of the entries; nothing when the mode is Direct, or a consumer takes no options
    dropping    text      name of a consumer that takes no options; empty where all do

  WRITES
    1 XADD stream, per entry   a refusal leaves those before it; dispatching all again is safe, their keys are the same
]]
-- @include replies
-- @include rights
local kept = modeKeys[1] and redis.call('GET', modeKeys[1])
if kept == 'Stream' or kept == 'Direct' then mode = kept end
if mode == 'Direct' then return {false, ''} end
if registry ~= '' then
  local barred = forbidden('HGETALL', registry) or forbidden('GET', heartbeats .. '-')
  if barred then return barred end
  for name in pairs(fields(redis.call('HGETALL', registry))) do
    local beat = redis.call('GET', heartbeats .. name)
    if beat and not string.find(beat, '"takesOptions":true', 1, true) then return {false, name} end
  end
end
local ids, at = {}, 1
for i, length in ipairs(lengths) do
  local command = {'XADD', stream}
  if maxEntries > 0 then
    command[3], command[4], command[5] = 'MAXLEN', '~', maxEntries
  end
  command[#command + 1] = '*'
  for j = at, at + length - 1 do command[#command + 1] = strings[j] end
  ids[i] = redis.call(unpack(command))
  at = at + length
end
return {ids, ''}
