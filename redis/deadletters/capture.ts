/**
 * Failed jobs become dead letters. BullMQ's failed set is the source of truth: a worker's `failed` event can be lost in a crash,
 * membership of the set cannot, and it is final whatever the attempts say (unrecoverable and stalled jobs fail at the first of
 * three). Only jobs with an id of our scope are touched.
 *
 * Per job one script: still in the set? write the record, remove the job by BullMQ's own removal. A public check-then-remove would
 * kill a job that was retried in between. A removal that is refused half-way (rights were taken away) finds the record noted in the
 * job's hash when it is tried again. Jobs with a parent or children are recorded once and stay, since removing a failed
 * child releases its parent; so does everything where BullMQ's removal is not known by its text. Where the queue lives in
 * another Redis the record goes first, under a token per failure, so that a crash between the two steps leaves one record.
 *
 * No lease: sweepers that meet at one job find it gone.
 */

import { encode } from '@msgpack/msgpack'
import type { BullScripts } from '../bullmq/queue.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import { replyCode } from '../connect/replies.ts'
import type { Codec } from '../payload/codec.ts'
import type { ForwardTarget, StreamPlace } from '../placement.ts'
import { defineScript } from '../scripts/script.ts'
import { createFailedSet } from './failedset.ts'

/** Lua: record(…) writes one dead letter of a failed job. */
const recordFunction = `local function full(dead, maxDead)
  if redis.call('XLEN', dead) < tonumber(maxDead) then return nil end
  return redis.error_reply('FULL ' .. dead .. ' holds ' .. maxDead .. ' dead letters')
end
local function record(stream, dead, maxDead, group, hash, origin, reason, attempts, firstSeen, redrives, fallback)
  local payload = fallback
  if origin ~= '' then
    local entry = redis.call('XRANGE', stream, origin, origin)[1]
    if entry then payload = cmsgpack.pack(entry[2]) end
  end
  local now = redis.call('TIME')
  return redis.call('XADD', dead, '*',
    'originalId', origin, 'stream', stream, 'group', group, 'consumer', '', 'deliveries', attempts,
    'reason', 'JobFailed', 'error', string.sub(reason, 1, 1000), 'payload', payload, 'idempotencyKey', hash,
    'firstSeen', firstSeen, 'deadAt', now[1] * 1000 + math.floor(now[2] / 1000), 'redrives', redrives)
end
`

/** Lua: takeJob(prefix, id, finishedOn, tag) removes a failed job, or tags one that must stay; 1 removed, 2 kept, 0 not failed any more. */
function takeFunction(scripts: BullScripts | undefined): string {
  const remove = scripts?.get('removeJob')?.lua
  return `local function bullRemove(KEYS, ARGV)
${remove ?? 'return -1'}
end
local function standing(prefix, id, finishedOn)
  if not redis.call('ZSCORE', prefix .. 'failed', id) then return nil end
  local job = redis.call('HMGET', prefix .. id, 'finishedOn', 'spCaptured', 'parentKey')
  if job[1] ~= finishedOn or job[2] == finishedOn then return nil end
  local related = job[3] or redis.call('EXISTS', prefix .. id .. ':dependencies', prefix .. id .. ':processed') > 0
  return related and 'related' or 'free'
end
local function takeJob(prefix, id, finishedOn, kind)
  if kind == 'free' and ${remove === undefined ? 'false' : 'true'} then
    if bullRemove({prefix .. id, prefix .. 'repeat'}, {id, '0', prefix}) == 1 then return 1 end
  end
  redis.call('HSET', prefix .. id, 'spCaptured', finishedOn)
  return 2
end
`
}

export interface Sweep {
  /** Failed jobs recorded as dead letters, by what became of the job. */
  readonly removed: number
  readonly kept: number
}

export interface Sweeper {
  /** One round over what has failed since the last, and a piece of the rest (failedset.ts). Throws catalogued errors. */
  sweep(): Promise<Sweep>
}

export interface SweeperParts {
  readonly stream: RedisConnection
  readonly queue: RedisConnection
  readonly place: StreamPlace
  readonly target: ForwardTarget
  readonly codec: Codec
  /** BullMQ's scripts where they are known; without them jobs are recorded and stay. */
  readonly scripts: BullScripts | undefined
  /** Whether one script may touch stream, dead letters and queue. */
  readonly together: boolean
}

interface FailedJob {
  readonly id: string
  readonly hash: string
  readonly finishedOn: string
  readonly reason: string
  readonly attempts: string
  readonly origin: string
  readonly firstSeen: string
  readonly redrives: string
  readonly payload: Buffer
}

export function createSweeper(parts: SweeperParts): Sweeper {
  const { stream, queue, place, target } = parts
  const prefix = `${target.prefix}:${target.queue}:`
  const idPrefix = `e-${target.keys.scope}-`
  const failed = createFailedSet({ queue, key: `${prefix}failed`, idPrefix, stream, stats: place.keys.stats })
  const captureTogether = defineScript(
    'captureJob',
    `${recordFunction}${takeFunction(parts.scripts)}
local kind = standing(KEYS[3], ARGV[1], ARGV[2])
if not kind then return 0 end
local job = KEYS[3] .. ARGV[1]
if redis.call('HGET', job, 'spRecorded') ~= ARGV[2] then
  if redis.acl_check_cmd and not redis.acl_check_cmd('HSET', job, 'spRecorded', ARGV[2]) then
    return redis.error_reply('NOPERM the user may not HSET ' .. job)
  end
  local refused = full(KEYS[2], ARGV[3])
  if refused then return refused end
  record(KEYS[1], KEYS[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11])
  redis.call('HSET', job, 'spRecorded', ARGV[2])
end
return takeJob(KEYS[3], ARGV[1], ARGV[2], kind)`,
  )
  const look = defineScript('failedJob', `${takeFunction(parts.scripts)}return standing(KEYS[1], ARGV[1], ARGV[2])`)
  const take = defineScript(
    'takeJob',
    `${takeFunction(parts.scripts)}
local kind = standing(KEYS[1], ARGV[1], ARGV[2])
return kind and takeJob(KEYS[1], ARGV[1], ARGV[2], kind) or 0`,
  )
  const recordOnce = defineScript(
    'recordJob',
    `${recordFunction}
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local refused = full(KEYS[2], ARGV[1])
if refused then return refused end
redis.call('SET', KEYS[3], '1', 'PX', ARGV[10])
record(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9])
return 1`,
  )

  const capture = async (job: FailedJob): Promise<number> => {
    const told = [job.hash, job.origin, job.reason, job.attempts, job.firstSeen, job.redrives, job.payload]
    const bounds = [place.maxDeadLetters, place.group]
    if (parts.together) {
      const args = [job.id, job.finishedOn, ...bounds, ...told]
      return Number(await captureTogether.run(stream, [place.stream, place.deadLetters, prefix], args))
    }
    if ((await look.run(queue, [prefix], [job.id, job.finishedOn])) === null) return 0
    const token = `${place.keys.prefix}captured:${job.hash}:${job.finishedOn}`
    await recordOnce.run(stream, [place.stream, place.deadLetters, token], [...bounds, ...told, target.windowMs])
    return Number(await take.run(queue, [prefix], [job.id, job.finishedOn]))
  }

  const readJob = async (id: string): Promise<FailedJob | undefined> => {
    const names = ['finishedOn', 'failedReason', 'atm', 'opts', 'data', 'timestamp', 'spCaptured'] as const
    const [finishedOn, reason, attempts, opts, data, timestamp, captured] = await queue.hmget(prefix + id, ...names)
    if (!finishedOn || captured === finishedOn) return undefined
    const sp = originOf(opts)
    return {
      id,
      hash: id.slice(idPrefix.length),
      finishedOn,
      reason: reason ?? '',
      attempts: attempts ?? '0',
      origin: sp.origin,
      firstSeen: sp.origin.split('-')[0] || (timestamp ?? '0'),
      redrives: sp.redrives,
      payload: payloadOf(parts.codec, data),
    }
  }

  return {
    async sweep() {
      let removed = 0
      let kept = 0
      try {
        await failed.round(async (id) => {
          const job = await readJob(id)
          const outcome = job === undefined ? 0 : await capture(job)
          if (outcome === 1) removed += 1
          else if (outcome === 2) kept += 1
        })
      } catch (thrown) {
        // No room for more records: the jobs stay where they are, and come again.
        if (replyCode(thrown) !== 'FULL') throw failureOn(queue, thrown)
      }
      return { removed, kept }
    },
  }
}

/** What the forwarder wrote into the job's options, as strings: numbers lose precision on their way through Lua. */
function originOf(opts: string | null | undefined): { origin: string; redrives: string } {
  const sp = member(parsed(opts), 'sp')
  const text = (name: string) => {
    const value = member(sp, name)
    return typeof value === 'string' ? value : ''
  }
  const origin = text('id')
  return { origin: /^\d+-\d+$/.test(origin) ? origin : '', redrives: text('redrives') || '0' }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
}

/** The payload as an entry's fields again, for when the entry itself is no longer in the stream. */
function payloadOf(codec: Codec, data: string | null | undefined): Buffer {
  const value = parsed(data)
  const fit = typeof value === 'object' && value !== null && !Array.isArray(value)
  return Buffer.from(encode(fit ? codec.restore(value) : ['payload', data ?? '']))
}

/** Undefined for what is no JSON: somebody wrote into the hash of one of our jobs, and the record must still be made. */
function parsed(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? '{}')
  } catch {
    return undefined
  }
}
