/**
 * Reaping: what a consumer that is known to be gone still holds becomes claimable at once, and its name goes when it holds
 * nothing. Who is gone is the caller's judgement (the operator's of its pods, a local run's of its children); this script only
 * makes sure that it is still about the same process, since by the time it runs another may bear the name.
 *
 * Nothing is handed to anybody: an entry given to a consumer that does not know of it would be nobody's until it is idle again.
 * It stays under the name of the one that is gone, with the idle time that lets anyone claim it and the delivery count it had,
 * and the nudge, which living consumers look at all the time, says that there is something to claim. Trimmed entries become
 * dead letters, since XCLAIM would drop them silently.
 *
 * To be called again as long as it says Released: the name goes once the others have claimed everything. And level-triggered: a
 * zombie (a process that was declared dead and still runs) makes its name again with its next heartbeat, and is reaped again.
 * A name in the group that is not in the registry is somebody else's and never touched.
 */

import type { StreamPipelineError } from '../../api/errors.ts'
import type { RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { defineScript } from '../scripts/script.ts'
import { parseIdentity } from './identity.ts'
import { buryTrimmedFunction } from './pending.ts'
import { unwritable } from './settlement.ts'

const reap = defineScript(
  'reap',
  `${buryTrimmedFunction}
local stream, dead, stats, consumers, nudge, heartbeat = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local group, name, uid, minIdle, maxDead = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local registered = redis.call('HGET', consumers, name)
if registered ~= uid then return {'Changed', registered or ''} end
if ARGV[6] == '1' and redis.call('EXISTS', heartbeat) == 1 then return {'Alive'} end
local function held(from, count)
  local rows = redis.pcall('XPENDING', stream, group, from, '+', count, name)
  if rows.err and string.sub(rows.err, 1, 7) == 'NOGROUP' then return {}, true end
  return rows, false
end
local rows, groupless = held(ARGV[7], ARGV[8])
if rows.err then return rows end
local released, trimmed, refusal = 0, 0, ''
for _, row in ipairs(rows) do
  if #redis.call('XRANGE', stream, row[1], row[1]) == 0 then
    local written = buryTrimmed(stream, dead, stats, group, maxDead, row[1], 0)
    if type(written) == 'table' then refusal = written.err else trimmed = trimmed + written end
  elseif row[3] < minIdle then
    redis.call('XCLAIM', stream, group, name, 0, row[1], 'IDLE', minIdle, 'JUSTID')
    released = released + 1
  end
end
if released > 0 then redis.call('INCR', nudge) end
local last = #rows > 0 and rows[#rows][1] or ''
local oldest = held('-', 1)[1]
if oldest then return {'Released', released, trimmed, #rows, last, oldest[1], refusal} end
if not groupless then redis.call('XGROUP', 'DELCONSUMER', stream, group, name) end
redis.call('HDEL', consumers, name)
redis.call('DEL', heartbeat)
return {'Gone', released, trimmed, #rows, last}`,
)

/** Entries looked at per call of the script; a page of so many holds Redis for a few milliseconds. */
const pageSize = 1_000

export interface Deceased {
  /** Name in the group. */
  readonly name: string
  /** As the registry holds it; whoever bears the name by now under another uid is left alone. */
  readonly uid: string
  readonly minIdleMs: number
  /**
   * Leave it alone while its heartbeat has not expired. Where the pending list itself is the lock (the atomic path) a zombie can
   * do no harm; on the others, entries wait until it is sure to have fallen silent.
   */
  readonly requireExpiredHeartbeat: boolean
}

export type Reaping =
  /** Holds nothing any more; the name is gone from group and registry. */
  | { readonly kind: 'Gone'; readonly entries: number; readonly trimmed: number }
  | {
      readonly kind: 'Released'
      /** Made claimable now; those that were so before are not counted. */
      readonly entries: number
      /** Became dead letters. */
      readonly trimmed: number
      /** What is still under its name. */
      readonly pending: number
      /** Id of the oldest of those. */
      readonly oldestId: string
      /** Why the record of a trimmed entry could not be written; the entry stays pending. */
      readonly refusal?: StreamPipelineError
    }
  /** Its heartbeat is still there. */
  | { readonly kind: 'Alive' }
  /** Another process of the same owner bears the name. */
  | { readonly kind: 'Changed' }
  /** The name is not registered, or is another owner's. */
  | { readonly kind: 'Foreign' }

/** Releases what a vanished consumer holds; takes its name away if that is nothing. Throws catalogued errors. */
export async function reapConsumer(connection: RedisConnection, place: StreamPlace, deceased: Deceased): Promise<Reaping> {
  const { keys } = place
  const { name, uid, minIdleMs, requireExpiredHeartbeat } = deceased
  const touched = [place.stream, place.deadLetters, keys.stats, keys.consumers, keys.nudge, keys.consumer(name)]
  const fixed = [place.group, name, uid, minIdleMs, place.maxDeadLetters, requireExpiredHeartbeat ? 1 : 0]
  let [entries, trimmed, seen] = [0, 0, 0]
  let refusal: StreamPipelineError | undefined
  for (let start = '-'; ; ) {
    const reply: unknown = await reap.run(connection, touched, [...fixed, start, pageSize])
    const [kind, ...told] = Array.isArray(reply) ? reply.map(String) : []
    if (kind === 'Alive') return { kind }
    if (kind === 'Changed') return strange(uid, told[0] ?? '')
    const [released, buried, rows, last = '', oldestId = '', refused = ''] = told
    entries += Number(released)
    trimmed += Number(buried)
    seen += Number(rows)
    if (kind === 'Gone') return { kind, entries, trimmed }
    if (refused !== '') refusal = unwritable(connection, place, refused)
    if (Number(rows) < pageSize) {
      return { kind: 'Released', entries, trimmed, pending: seen - trimmed, oldestId, ...(refusal && { refusal }) }
    }
    start = `(${last}`
  }
}

function strange(uid: string, registered: string): Reaping {
  const owner = parseIdentity(uid)?.owner
  return { kind: owner !== undefined && parseIdentity(registered)?.owner === owner ? 'Changed' : 'Foreign' }
}
