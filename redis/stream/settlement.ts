/**
 * The stream's side of settling: dead letters and acknowledgements of a batch, in one script. A dead letter is written only for
 * an entry that is still pending and in the same step in which it is acknowledged; one that cannot be written (a full stream, one of
 * the wrong type, memory) leaves its entry pending. A full one pushes out nothing: what is in it was lost from the stream. XACK's own return goes into the ledger, from which unread loss is computed.
 */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import { labelOf, type RedisConnection } from '../connect/connection.ts'
import { replyCode } from '../connect/replies.ts'
import type { StreamPlace } from '../placement.ts'
import type { DeadLetterReason } from '../record.ts'
import { defineScript, type ScriptArgument } from '../scripts/script.ts'

/**
 * Lua shared with the claim script: writes the record of one pending entry from the server's own copy of it.
 * Returns 1 written, 0 no longer pending (or not as overdue as demanded), or an error table. It writes nothing
 * before its XADD: Redis refuses for want of memory only as long as a script has not written. And it writes nothing for a user who
 * may not acknowledge (rights may be taken away at any time): the entry would stay pending, and be recorded again.
 */
export const buryFunction = `local function bury(stream, dead, group, maxDead, id, reason, failure, hash, redrives, minIdle, minDeliveries)
  local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
  if not row or row[3] < minIdle or row[4] < minDeliveries then return 0 end
  if redis.acl_check_cmd and not redis.acl_check_cmd('XACK', stream, group, id) then
    return {err = 'NOPERM the user may not XACK ' .. stream}
  end
  local length = redis.pcall('XLEN', dead)
  if type(length) == 'table' then return length end
  if length >= tonumber(maxDead) then return {err = 'FULL ' .. dead .. ' holds ' .. maxDead .. ' dead letters'} end
  local entry = redis.call('XRANGE', stream, id, id)[1]
  local payload = ''
  if entry then payload = cmsgpack.pack(entry[2]) elseif reason ~= 'Trimmed' then
    failure = failure .. ' (the entry itself has been trimmed)'
  end
  local now = redis.call('TIME')
  local written = redis.pcall('XADD', dead, '*',
    'originalId', id, 'stream', stream, 'group', group, 'consumer', row[2], 'deliveries', row[4],
    'reason', reason, 'error', failure, 'payload', payload, 'idempotencyKey', hash,
    'firstSeen', string.match(id, '^%d+'), 'deadAt', now[1] * 1000 + math.floor(now[2] / 1000), 'redrives', redrives)
  if type(written) == 'table' and written.err then return written end
  return 1
end
`

const settle = defineScript(
  'settle',
  `${buryFunction}
local stream, dead, stats = KEYS[1], KEYS[2], KEYS[3]
local group, maxDead, acks = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ids, replies, at = {}, {}, 4
for i = 1, acks do ids[i] = ARGV[at]; at = at + 1 end
local buried = 0
while at < #ARGV do
  local id = ARGV[at]
  local written = bury(stream, dead, group, maxDead, id, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4],
    tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]))
  if written == 1 then
    ids[#ids + 1] = id
    buried = buried + 1
    replies[#replies + 1] = 'dead'
  elseif written == 0 then replies[#replies + 1] = 'gone'
  else replies[#replies + 1] = written.err end
  at = at + 7
end
local settled = 0
if #ids > 0 then
  settled = redis.call('XACK', stream, group, unpack(ids))
  if settled > 0 then redis.call('HINCRBY', stats, 'settled', settled) end
  if buried > 0 then redis.call('HINCRBY', stats, 'dead', buried) end
end
table.insert(replies, 1, settled)
return replies`,
)

export interface Burial {
  readonly id: string
  readonly reason: DeadLetterReason
  readonly error: string
  /** Hash of the idempotency key, where one could be derived. */
  readonly hash?: string
  readonly redrives: number
  /** Bury only what is idle at least this long and delivered at least this often: for entries somebody else may be working on. */
  readonly only?: { readonly minIdleMs: number; readonly minDeliveries: number }
}

/** `refused`: the record could not be written; the entry stays pending. */
export type BurialOutcome = 'dead' | 'gone' | 'refused'

export interface Settled {
  readonly acknowledged: number
  readonly burials: readonly BurialOutcome[]
  /** Why some are `refused`. */
  readonly refusal?: StreamPipelineError
}

/** Longest `error` kept in a record, in UTF-16 units. */
const maxErrorLength = 1_000

/** Acknowledges and buries in one step; a dead letter that cannot be written keeps nothing else from being settled. */
export async function settleEntries(
  connection: RedisConnection,
  place: StreamPlace,
  acknowledged: readonly string[],
  burials: readonly Burial[],
): Promise<Settled> {
  const args: ScriptArgument[] = [place.group, place.maxDeadLetters, acknowledged.length, ...acknowledged]
  for (const { id, reason, error, hash, redrives, only } of burials) {
    args.push(id, reason, error.slice(0, maxErrorLength), hash ?? '', redrives, only?.minIdleMs ?? 0, only?.minDeliveries ?? 0)
  }
  const reply = await settle.run(connection, [place.stream, place.deadLetters, place.keys.stats], args)
  const [settled, ...outcomes] = Array.isArray(reply) ? reply : []
  let refusal: StreamPipelineError | undefined
  const outcomesOf = outcomes.map((outcome): BurialOutcome => {
    if (outcome === 'dead' || outcome === 'gone') return outcome
    refusal = unwritable(connection, place, String(outcome))
    return 'refused'
  })
  return { acknowledged: Number(settled), burials: outcomesOf, ...(refusal && { refusal }) }
}

/** What the server said of a dead letter it did not take. */
export function unwritable(connection: RedisConnection, place: StreamPlace, told: string) {
  const reply = Object.assign(new Error(told), { name: 'ReplyError' })
  const code = replyCode(reply)
  if (code === 'WRONGTYPE') {
    return failure('WrongKeyType', { key: place.deadLetters, actual: 'value of another type', expected: 'stream' }, reply)
  }
  if (code === 'FULL') {
    return failure('DeadLettersFull', { stream: place.deadLetters, maxEntries: String(place.maxDeadLetters) }, reply)
  }
  if (code === 'NOPERM') return failure('RedisPermissionDenied', { detail: told }, reply)
  if (code === 'OOM') return failure('RedisOutOfMemory', { address: labelOf(connection), detail: told }, reply)
  return failure('RedisCommandFailed', { command: 'XADD of a dead letter', detail: told }, reply)
}
