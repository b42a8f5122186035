--[[
  Brings the ledger up to date.

  KEYS
    stream   stream
    stats    hash

  ARGV
    group    text

  REPLY
    lost     integer?   entries lost unread so far; nothing while it cannot be known without counting

  WRITES
    1 account's (lib/ledger.lua)
]]
-- @include ledger
-- @include clock
local lost = account(stream, group, stats)
return {lost and digits(lost) or false}
