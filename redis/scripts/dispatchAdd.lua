--[[
  Adds entries in Stream mode. It reads the mode that the operator keeps in Redis and adds in one step, so that whatever is dispatched
  after a flip goes the new way, and nothing goes both.

  Consumers of a release that does not know options of a request drop them silently. So do consumers whose pipeline allows none. So options
  are added only while every registered consumer with a heartbeat says in it that it takes them.

  Entries of one call mostly have the same fields. So names are sent once for each shape, and an entry names its shape. Values that all
  entries of a shape share are sent with the shape, too.

  KEYS
    stream      stream
    modeKeys    string[]  the mode's key; none where the mode is pinned

  ARGV
    mode        text      what counts where Redis holds no mode: Stream or Direct
    registry    text      key of the hash that names the consumers; empty where no entry has options. It is no member of KEYS, since EVAL
                          needs the right to write those
    heartbeats  text      what the keys of heartbeats begin with
    maxEntries  integer   approximate bound of the stream's length; 0 for none
    shapes      bytes     MessagePack list, per shape: the number of its fields; per field its name, and its value or 0: entries differ
    entries     bytes     MessagePack list, per entry: number of its shape, from 1 on, and the values in which entries of the shape
                          differ; 0 for the next of the texts
    texts       text[]    long values, which would be copied twice if they were packed

  REPLY
    ids         text      of the entries, with blanks between; empty when the mode is Direct, or a consumer takes no options
    dropping    text      name of a consumer that takes no options; empty where all do

  WRITES
    1 XADD stream, per entry   a refusal leaves those before it; dispatching all again is safe, their keys are the same
]]
-- @include replies
-- @include rights
local kept = modeKeys[1] and redis.call('GET', modeKeys[1])
if kept == 'Stream' or kept == 'Direct' then mode = kept end
if mode == 'Direct' then return {'', ''} end
if registry ~= '' then
  local barred = forbidden('HGETALL', registry) or forbidden('GET', heartbeats .. '-')
  if barred then return barred end
  for name in pairs(fields(redis.call('HGETALL', registry))) do
    local beat = redis.call('GET', heartbeats .. name)
    if beat and not string.find(beat, '"takesOptions":true', 1, true) then return {'', name} end
  end
end
local first = maxEntries > 0 and {'MAXLEN', '~', maxEntries, '*'} or {'*'}
shapes, entries = cmsgpack.unpack(shapes), cmsgpack.unpack(entries)
-- One table of arguments per shape, which each entry of the shape fills again.
local rows, at = {}, 1
while at <= #shapes do
  local row = {unpack(first)}
  local begun = #row
  local differing = {}
  for i = 1, 2 * shapes[at], 2 do
    local value = shapes[at + i + 1]
    row[begun + i], row[begun + i + 1] = shapes[at + i], value
    if value == 0 then differing[#differing + 1] = begun + i + 1 end
  end
  rows[#rows + 1] = {arguments = row, differing = differing, last = #row}
  at = at + 2 * shapes[at] + 1
end
local ids, long = {}, 0
at = 1
while at <= #entries do
  local row = rows[entries[at]]
  local arguments, last, differing = row.arguments, row.last, row.differing
  for i = 1, #differing do
    at = at + 1
    local value = entries[at]
    if value == 0 then
      long = long + 1
      value = texts[long]
    end
    arguments[differing[i]] = value
  end
  ids[#ids + 1] = redis.call('XADD', stream, unpack(arguments, 1, last))
  at = at + 1
end
return {table.concat(ids, ' '), ''}
