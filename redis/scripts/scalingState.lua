--[[
  The scaler's state as it is kept, and the server's time, by which its age is known.

  KEYS
    stats   hash

  ARGV
    field   text
    most    integer   characters; a longer text is no state

  REPLY
    state   text      JSON; empty where there is none, or where it is too long
    now     integer   server time, ms

  WRITES
    none
]]
-- @include clock
local state = redis.call('HGET', stats, field) or ''
return {#state <= most and state or '', digits(serverNow())}
