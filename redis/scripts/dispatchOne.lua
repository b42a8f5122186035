--[[
  Adds one entry without options in Stream mode, as dispatchAdd does for several. It includes no part and copies no list: that halves
  its time in Redis, for which an application waits with each request.

  KEYS
    stream      stream
    modeKeys    string...   the mode's key; none where the mode is pinned

  ARGV
    mode        text        what counts where Redis holds no mode: Stream or Direct
    maxEntries  integer     approximate bound of the stream's length; 0 for none
    flat        text...     field, value, …

  REPLY
    id          text        of the entry; empty when the mode is Direct

  WRITES
    1 XADD stream   a refusal leaves everything as it was
]]
local kept = KEYS[modeKeys] and redis.call('GET', KEYS[modeKeys])
if kept == 'Stream' or kept == 'Direct' then mode = kept end
if mode == 'Direct' then return {''} end
if maxEntries > 0 then return {redis.call('XADD', stream, 'MAXLEN', '~', maxEntries, '*', unpack(ARGV, flat))} end
return {redis.call('XADD', stream, '*', unpack(ARGV, flat))}
