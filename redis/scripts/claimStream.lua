--[[
  Claims a stream and group for a pipeline, or renews its claim. A claim passes on when its holder has not renewed it for `lapseMs`, or is
  confirmed gone. A refused pipeline receives the holder.

  KEYS
    stats     hash      field `owner`: time, uid and text of the holder

  ARGV
    uid       text      of the pipeline
    holder    text      JSON, for a refused pipeline
    gone      text      uid of a holder that is gone; empty: none
    lapseMs   integer

  REPLY
    granted   flag
    owner     text      of the current holder

  WRITES
    1 HSET stats owner   a refusal leaves the claim as it was
]]
-- @include clock
local now = serverNow()
local at, held, owner = string.match(redis.call('HGET', stats, 'owner') or '', '^(%d+) (%S+) (.*)$')
local lapsed = not at or #at > 15 or tonumber(at) > now + lapseMs or now - tonumber(at) > lapseMs
if not lapsed and held ~= uid and held ~= gone then return {0, string.sub(owner, 1, 1024)} end
redis.call('HSET', stats, 'owner', digits(now) .. ' ' .. uid .. ' ' .. holder)
return {1, holder}
