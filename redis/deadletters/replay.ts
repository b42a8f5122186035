/**
 * Replaying dead letters: the entry goes back to its stream with the bytes it had, its mark is deleted so that it is not a
 * duplicate of itself, and the record goes. One script per record where stream and queue are together; two at once then give
 * one new entry and one `gone`. Where the queue lives elsewhere its side comes first: a crash in between leaves the record, and
 * the second replay does the rest.
 *
 * A job that still has its id is looked at first: one that BullMQ has not finished would run beside the replayed one, so the
 * record stays (`busy`); a finished one is removed, or it would swallow the new entry as a duplicate.
 */

import { failure } from '../../api/errors.ts'
import type { BullScripts } from '../bullmq/queue.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import type { ForwardTarget, StreamPlace } from '../placement.ts'
import { type DeadLetter, type DeadLetterReason, decodeDeadLetter } from '../record.ts'
import { defineScript } from '../scripts/script.ts'

export type ReplayOutcome =
  | { readonly kind: 'replayed'; readonly id: string }
  /** No such record any more: somebody else replayed or purged it. */
  | { readonly kind: 'gone' }
  /** Its job waits or runs in the queue; the record stays. */
  | { readonly kind: 'busy'; readonly job: string }
  /** The record holds no payload: the entry had been trimmed before it could be read. */
  | { readonly kind: 'empty' }

export interface DeadLetterFilter {
  readonly reason?: DeadLetterReason
  /** Records older than this id's time are left out. */
  readonly from?: string
}

export interface DeadLetters {
  /** Records in order, oldest first, page by page. Throws catalogued errors. */
  list(filter: DeadLetterFilter): AsyncGenerator<DeadLetter>
  /** One record, or undefined. */
  show(id: string): Promise<DeadLetter | undefined>
  replay(record: DeadLetter): Promise<ReplayOutcome>
  /** Deletes records; says how many were still there. */
  purge(ids: readonly string[]): Promise<number>
}

export interface DeadLetterParts {
  readonly stream: RedisConnection
  readonly queue: RedisConnection
  readonly place: StreamPlace
  readonly target: ForwardTarget
  readonly scripts: BullScripts | undefined
  readonly together: boolean
}

/** Lua: clearJob(prefix, id, mark) → 'busy', or nil when neither job nor mark stands in the way any more. */
function clearFunction(scripts: BullScripts | undefined): string {
  return `local function bullRemove(KEYS, ARGV)
${scripts?.get('removeJob')?.lua ?? 'return -1'}
end
local function clearJob(prefix, id, mark)
  local job = prefix .. id
  if redis.call('EXISTS', job) == 1 then
    local finished = redis.call('ZSCORE', prefix .. 'completed', id) or redis.call('ZSCORE', prefix .. 'failed', id)
    if not finished then return 'busy' end
    bullRemove({job, prefix .. 'repeat'}, {id, '0', prefix})
    if redis.call('EXISTS', job) == 1 then return 'busy' end
  end
  redis.call('DEL', mark)
  return nil
end
`
}

/** Lua: restore(stream, dead, id) → the new entry's id, 'gone' or 'empty'. */
const restoreFunction = `local function restore(stream, dead, id)
  local record = redis.call('XRANGE', dead, id, id)[1]
  if not record then return 'gone' end
  local fields = {}
  for i = 1, #record[2], 2 do fields[record[2][i]] = record[2][i + 1] end
  if (fields.payload or '') == '' then return 'empty' end
  local flat = cmsgpack.unpack(fields.payload)
  local entry = {}
  for i = 1, #flat, 2 do
    if flat[i] ~= 'sp-redrives' then entry[#entry + 1] = flat[i]; entry[#entry + 1] = flat[i + 1] end
  end
  if #entry == 0 then return 'empty' end
  entry[#entry + 1] = 'sp-redrives'
  entry[#entry + 1] = tostring((tonumber(fields.redrives) or 0) + 1)
  local added = redis.call('XADD', stream, '*', unpack(entry))
  redis.call('XDEL', dead, id)
  return added
end
`

const restore = defineScript('restoreEntry', `${restoreFunction}return restore(KEYS[1], KEYS[2], ARGV[1])`)

const pageSize = 200

export function createDeadLetters(parts: DeadLetterParts): DeadLetters {
  const { stream, queue, place, target } = parts
  const prefix = `${target.prefix}:${target.queue}:`
  const clear = defineScript('clearJob', `${clearFunction(parts.scripts)}return clearJob(KEYS[1], ARGV[1], KEYS[2])`)
  const replayTogether = defineScript(
    'replayEntry',
    `${clearFunction(parts.scripts)}${restoreFunction}
if #redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1]) == 0 then return 'gone' end
if ARGV[2] ~= '' then
  local standing = clearJob(KEYS[3], ARGV[2], KEYS[4])
  if standing then return standing end
end
return restore(KEYS[1], KEYS[2], ARGV[1])`,
  )

  const page = async (start: string, count: number) => {
    try {
      return await stream.xrangeBuffer(place.deadLetters, start, '+', 'COUNT', count)
    } catch (thrown) {
      throw failureOn(stream, thrown)
    }
  }

  const run = async (record: DeadLetter, job: string): Promise<unknown> => {
    const mark = target.keys.mark(record.idempotencyKey)
    if (parts.together) {
      return await replayTogether.run(stream, [place.stream, place.deadLetters, prefix, mark], [record.id, job])
    }
    if (job !== '') {
      const standing = await clear.run(queue, [prefix, mark], [job])
      if (standing !== null) return standing
    }
    return await restore.run(stream, [place.stream, place.deadLetters], [record.id])
  }

  return {
    async *list(filter) {
      let start = filter.from ?? '-'
      for (;;) {
        const entries = await page(start, pageSize)
        for (const [id, fields] of entries) {
          const record = decodeDeadLetter(String(id), fields)
          if (filter.reason === undefined || record.reason === filter.reason) yield record
        }
        if (entries.length < pageSize) return
        start = `(${String(entries.at(-1)?.[0])}`
      }
    },
    async show(id) {
      if (!/^\d+-\d+$/.test(id))
        throw failure('InvalidOption', { option: 'ID', detail: `${id} is not a record's id, such as 1700000000000-0` })
      const [entry] = await page(id, 1)
      if (entry === undefined || String(entry[0]) !== id) return undefined
      return decodeDeadLetter(id, entry[1])
    },
    async replay(record) {
      const job = record.idempotencyKey === '' ? '' : jobId(target.keys.scope, record.idempotencyKey)
      const answer = String(await run(record, job))
      if (answer === 'busy') return { kind: 'busy', job }
      if (answer === 'gone' || answer === 'empty') return { kind: answer }
      return { kind: 'replayed', id: answer }
    },
    async purge(ids) {
      try {
        return ids.length === 0 ? 0 : await stream.xdel(place.deadLetters, ...ids)
      } catch (thrown) {
        throw failureOn(stream, thrown)
      }
    },
  }
}
