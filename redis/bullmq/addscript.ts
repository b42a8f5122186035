/**
 * Lua made around BullMQ's own add: look at the mark, look at an existing job, add, mark, for any number of entries in one
 * script. Two scripts are built from it: one for the queue alone (split path, Direct dispatch), one that has the stream in the
 * same slot and settles it too (atomic path).
 *
 * Rules, each seen to matter on a real server:
 *
 * - a script error does not roll back, so the type of every key is checked before the first write;
 * - an existing job without a mark: finished within the window, or still in one of the queue's lists, it is a duplicate and the
 *   mark is written again for the rest of the window; finished and older, it makes way; in no list, it is what an aborted add
 *   left behind, and is added anew: taking it for success would lose the work;
 * - a job's own key that holds something else is a refusal of that one entry: an error would stop its whole batch for ever;
 * - no `#!lua` header: with one, a batch of nothing but duplicates was refused under OOM.
 */
import type { BullScripts } from './queue.ts'

/** Which of BullMQ's scripts adds with these options; as `addJobToTransaction` chooses. */
export type AddScript = 'addStandardJob' | 'addDelayedJob' | 'addPrioritizedJob'

export function addScriptFor(options: { readonly delay?: number; readonly priority?: number }): AddScript {
  if (options.delay !== undefined && options.delay > 0) return 'addDelayedJob'
  return options.priority ? 'addPrioritizedJob' : 'addStandardJob'
}

/** Keys of a queue that the composed scripts touch, by type, for the check before the first write. */
export const queueKeyTypes = {
  wait: 'list',
  paused: 'list',
  active: 'list',
  meta: 'hash',
  id: 'string',
  pc: 'string',
  completed: 'zset',
  failed: 'zset',
  delayed: 'zset',
  prioritized: 'zset',
  'waiting-children': 'zset',
  marker: 'zset',
  repeat: 'zset',
  events: 'stream',
} as const

/** Lua: wrongType(key, expected) and checkTypes(prefix) answer with an error reply, or nil. */
export const typeFunctions = `local function wrongType(key, expected)
  local actual = redis.call('TYPE', key).ok
  if actual == 'none' or actual == expected then return nil end
  return redis.error_reply('WRONGTYPE ' .. key .. ' holds a ' .. actual .. ', not a ' .. expected)
end
local function checkTypes(prefix)
  for _, pair in ipairs({${Object.entries(queueKeyTypes)
    .map(([key, type]) => `{'${key}', '${type}'}`)
    .join(', ')}}) do
    local wrong = wrongType(prefix .. pair[1], pair[2])
    if wrong then return wrong end
  end
  return nil
end
`

/** Defines checkTypes(prefix), forwardOne(…) → `forwarded`, `duplicate` or `rejected:<why>`, waitingJobs(prefix). */
export function forwardFunctions(scripts: BullScripts, add: AddScript): string {
  return `local function bullAdd(KEYS, ARGV)
${scripts.get(add)?.lua ?? ''}
end
local function bullRemove(KEYS, ARGV)
${scripts.get('removeJob')?.lua ?? ''}
end
${typeFunctions}local function inQueue(prefix, id)
  for _, list in ipairs({'wait', 'active', 'paused'}) do
    if redis.call('LPOS', prefix .. list, id) then return true end
  end
  for _, set in ipairs({'delayed', 'prioritized', 'waiting-children', 'failed', 'completed'}) do
    if redis.call('ZSCORE', prefix .. set, id) then return true end
  end
  return false
end
local function forwardOne(now, window, prefix, id, mark, origin, addKeys, addArgs)
  local jobKey = prefix .. id
  if redis.call('EXISTS', mark, jobKey) > 0 then
    if redis.call('EXISTS', mark) == 1 then return 'duplicate' end
    local holds = redis.call('TYPE', jobKey).ok
    if holds ~= 'hash' then return 'rejected:key ' .. jobKey .. ' holds a ' .. holds .. ', not a job' end
    local job = redis.call('HMGET', jobKey, 'timestamp', 'finishedOn')
    local remaining = tonumber(job[1] or job[2] or 0) + window - now
    if job[2] and remaining <= 0 then
      bullRemove({jobKey, prefix .. 'repeat'}, {id, '0', prefix})
      -- What BullMQ would not remove (a lock left behind) must not be taken for the job that is added now.
      redis.call('DEL', jobKey)
    elseif job[2] or inQueue(prefix, id) then
      redis.call('SET', mark, origin, 'PX', math.max(1000, math.ceil(remaining)))
      return 'duplicate'
    else
      redis.call('DEL', jobKey)
    end
  end
  local added = bullAdd(addKeys, addArgs)
  if type(added) == 'number' and added < 0 then return 'rejected:BullMQ refused to add the job, code ' .. added end
  redis.call('SET', mark, origin, 'PX', window)
  return 'forwarded'
end
local function waitingJobs(prefix)
  return redis.call('LLEN', prefix .. 'wait') + redis.call('ZCARD', prefix .. 'prioritized')
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`
}

/**
 * Keys: the add script's, then one mark per item. Arguments: prefix, window, number of the add script's keys, a packed list, per
 * item job id, origin and the add's first and third argument; then each item's data, the add's second. Replies: waiting jobs,
 * then an outcome per item.
 */
export function queueScript(scripts: BullScripts, add: AddScript): string {
  return `${forwardFunctions(scripts, add)}
local prefix, window, addKeyCount = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local wrong = checkTypes(prefix)
if wrong then return wrong end
local addKeys = {}
for i = 1, addKeyCount do addKeys[i] = KEYS[i] end
local replies, at = {0}, 1
local list = ARGV[4] and cmsgpack.unpack(ARGV[4])
for i = 1, #KEYS - addKeyCount do
  replies[i + 1] = forwardOne(now, window, prefix, list[at], KEYS[addKeyCount + i], list[at + 1], addKeys,
    {list[at + 2], ARGV[4 + i], list[at + 3]})
  at = at + 4
end
replies[1] = waitingJobs(prefix)
return replies`
}
