--[[
  First command of the MULTI that replays an entry of too many fields for Lua: notes the stream's last id. Behind it comes the client's
  own XADD, then endLargeReplay. Another replay of the record changes `replays`, which the client watches.

  MULTI

  KEYS
    stream       stream
    replays      hash     id of a record → id of its new entry; here, between two commands, `after ` and the stream's last id

  ARGV
    id           text     of the record

  REPLY
    noted        integer  1

  WRITES
    1 HSET replays   a refusal leaves everything as it was, and endLargeReplay takes the record for not replayed
]]
-- @include replies
redis.call('HSET', replays, id, 'after ' .. fields(redis.call('XINFO', 'STREAM', stream))['last-generated-id'])
return {1}
