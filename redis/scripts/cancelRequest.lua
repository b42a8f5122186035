--[[
  Cancels a request whose job has not begun: its key is marked, so that no entry of it is forwarded, and its job is removed.

  The mark goes first. A forwarder that comes later finds it; one that came before has made the job that is removed here. A job that
  BullMQ does not remove keeps the mark that it had.

  KEYS
    mark      string    of the idempotency key
    queue     any       prefix of the queue's keys, with its last colon

  ARGV
    id        text      of the job
    windowMs  integer   life of the mark

  REPLY
    outcome   text      cancelled; marked where the job is still to be removed, since BullMQ's script is not known; begun; ended
    former    text      what the mark held; empty where there was none

  WRITES
    1 SET mark           a refusal leaves everything as it was
    2 BullMQ's removal   a refusal is returned, and the mark is what it was
]]
-- @include bullRemove
-- @include queueKeys
-- @include replies
-- @include clock
local job = queue .. id
local wrong = wrongType(mark, 'string') or wrongType(job, 'hash') or wrongQueueKey(queue)
if wrong then return wrong end
local former = redis.call('GET', mark)
local stands = redis.call('EXISTS', job) == 1
if stands then
  local known = redis.call('HMGET', job, 'finishedOn', 'processedOn')
  local finished = tonumber(known[1])
  -- As forwardJob judges it: a job that ended before the window makes way for this request, which has not begun.
  if known[1] and (former or not finished or finished <= 0 or finished + windowMs > serverNow()) then return {'ended', former or ''} end
  if not known[1] and (known[2] or redis.call('EXISTS', job .. ':lock') == 1) then return {'begun', former or ''} end
elseif former then
  -- Its key was forwarded, and the job has ended, or was removed.
  return {former == 'cancelled' and 'cancelled' or 'ended', former}
end
local life = redis.call('PTTL', mark)
redis.call('SET', mark, 'cancelled', 'PX', string.format('%.0f', windowMs))
if not stands then return {'cancelled', former or ''} end
local removed = bullRemove(job, id, queue)
if removed == 1 then return {'cancelled', former or ''} end
if not removed then return {'marked', former or ''} end
if former and life > 0 then attempt(redis.call, 'SET', mark, former, 'PX', life) else attempt(redis.call, 'DEL', mark) end
return refused(removed) and removed or {'begun', former or ''}
