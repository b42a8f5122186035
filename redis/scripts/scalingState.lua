--[[
  The scaler's state as it is kept, and the server's time, by which its age is known.

  KEYS
    stats   hash

  ARGV
    field   text

  REPLY
    state   text      JSON; empty where there is none
    now     integer   server time, ms

  WRITES
    none
]]
-- @include clock
return {redis.call('HGET', stats, field) or '', digits(serverNow())}
