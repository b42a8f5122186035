/**
 * Replays dead letters. The entry goes back to its stream with the bytes that it had. Its mark is deleted, so that it is no
 * duplicate of itself. The record goes. One script per record where stream and queue are together; two at once then give one new
 * entry and one `gone`. Elsewhere it takes steps: the stream's Redis says whether it would take the entry, the queue's side is
 * cleared, the entry goes back. A crash in between leaves the record, and the second replay does the rest.
 *
 * Rights and types are checked before the first write, and the new entry is noted before the record is deleted. So a replay that
 * Redis refuses anywhere adds no second entry at the next try (scripts/lib/restoreEntry.lua).
 *
 * The job that still has this id is examined first. A job that BullMQ has not finished would run beside the replayed one, so the record
 * stays (`busy`). A finished job is removed, or it would swallow the new entry as a duplicate. Where BullMQ's scripts are unknown, its
 * public interface removes the job. A job that another program retries at that moment is removed too; the new entry does its work. BullMQ
 * removes no running job. BullMQ's removal of a failed child also releases its parent, which then no longer waits for the child. To
 * keep the parent waiting, retry the job in BullMQ instead.
 */

import { failure } from '../../api/errors.ts'
import type { BullScripts } from '../bullmq/queue.ts'
import { openBullQueue, removalOf } from '../bullmq/queue.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type Placement, queueKey } from '../placement.ts'
import { type DeadLetter, isEntryId } from '../record.ts'
import { clearReplayWith, lookAtJobWith, lookAtReplay, replayDeadLetterWith, restoreDeadLetter } from '../scripts/generated.ts'
import { restoreLarge } from './largereplay.ts'
import { createRecords, type Records } from './records.ts'

export type ReplayOutcome =
  | { readonly kind: 'replayed'; readonly id: string }
  /** No such record any more: another client replayed or purged it. */
  | { readonly kind: 'gone' }
  /** Its job waits or runs in the queue; the record stays. */
  | { readonly kind: 'busy'; readonly job: string }
  /** Another program's key has the name of the job, its lock or its mark. It blocks the replay until it is removed. */
  | { readonly kind: 'foreign'; readonly key: string; readonly code: string; readonly message: string; readonly remedy: string }
  /** The record holds no payload: the entry had been trimmed before it could be read. */
  | { readonly kind: 'empty' }
  /** The record cannot be read; it stays. */
  | { readonly kind: 'damaged'; readonly damage: string }
  /** The payload is not known to be the request, since its worker changed the job's data; the record stays. */
  | { readonly kind: 'altered' }

interface ReplayOptions {
  /** Replay also what is marked as altered. */
  readonly altered?: boolean
}

export interface DeadLetters extends Records {
  /** Why the record itself cannot be replayed; undefined: nothing in it is against a replay. Asks no server. */
  refusal(record: DeadLetter, options?: ReplayOptions): ReplayOutcome | undefined
  /** Throws catalogued errors; the record then stays, and a repeat adds no second entry. */
  replay(record: DeadLetter, options?: ReplayOptions): Promise<ReplayOutcome>
}

interface DeadLetterParts {
  readonly stream: RedisConnection
  readonly queue: RedisConnection
  readonly placement: Placement
  /** BullMQ's scripts where they are known. */
  readonly scripts: BullScripts | undefined
}

export function createDeadLetters(parts: DeadLetterParts): DeadLetters {
  const { stream, placement } = parts
  const { place, target } = placement
  const replayDeadLetter = replayDeadLetterWith(removalOf(parts.scripts))
  const clear = parts.scripts === undefined ? publicClearing(parts) : scriptedClearing(parts)
  const keys = { stream: place.stream, deadLetters: place.deadLetters, replays: place.keys.replays }

  const inOneStep = async (id: string, job: string, mark: string) =>
    (await replayDeadLetter(stream, { ...keys, queue: queueKey(target), mark }, { id, jobId: job })).outcome

  const inSteps = async (id: string, job: string, mark: string) => {
    const { outcome } = await lookAtReplay(stream, keys, { id })
    if (outcome !== 'ready' && outcome !== 'large' && outcome !== 'again') return outcome
    // An entry that went back already may be a job by now, with a mark of its own.
    const cleared = outcome === 'again' || job === '' ? 'clear' : await clear(job, mark)
    // Another replay may have added the entry meanwhile: the job is then that of the new entry, and the record is gone.
    if (cleared === 'busy') return (await lookAtReplay(stream, keys, { id })).outcome === 'gone' ? 'gone' : cleared
    if (cleared !== 'clear') return cleared
    return outcome === 'large' ? await restoreLarge(stream, keys, id) : (await restoreDeadLetter(stream, keys, { id })).outcome
  }

  return {
    ...createRecords(stream, place),
    refusal,
    async replay(record, options = {}) {
      const { id, idempotencyKey } = record
      const refused = refusal(record, options)
      if (refused !== undefined) return refused
      const job = idempotencyKey === '' ? '' : jobId(target.keys.scope, idempotencyKey)
      const mark = target.keys.mark(idempotencyKey)
      const oneStep = placement.together && parts.scripts !== undefined
      const first = oneStep ? await inOneStep(id, job, mark) : 'large'
      return outcomeOf(first === 'large' ? await inSteps(id, job, mark) : first, job)
    },
  }
}

/** What the record itself says against its replay. */
function refusal({ damage, altered }: DeadLetter, options: ReplayOptions = {}): ReplayOutcome | undefined {
  if (damage !== undefined) return { kind: 'damaged', damage }
  return altered === true && options.altered !== true ? { kind: 'altered' } : undefined
}

function outcomeOf(answer: string, job: string): ReplayOutcome {
  switch (answer) {
    case 'busy':
      return { kind: answer, job }
    case 'gone':
    case 'empty':
      return { kind: answer }
    case 'damaged':
      return { kind: answer, damage: 'its payload is no list of fields and values' }
    default:
      if (isEntryId(answer)) return { kind: 'replayed', id: answer }
      return foreignKey(answer, job) ?? raiseUnexpected(answer)
  }
}

function raiseUnexpected(answer: string): never {
  throw failure('Internal', { detail: `a replay ended with ${JSON.stringify(answer)}` })
}

/** From an answer such as `foreign:list:bull:ndvi:42`. Only a job is a hash. */
function foreignKey(answer: string, job: string): ReplayOutcome | undefined {
  const [, actual, key] = /^foreign:(\w+):(.+)$/s.exec(answer) ?? []
  if (actual === undefined || key === undefined) return undefined
  const expected = key.endsWith(`:${job}`) ? 'hash' : 'string'
  const { code, message, remedy } = failure('WrongKeyType', { key, actual, expected })
  return { kind: 'foreign', key, code, message, remedy }
}

/** Removes a finished job and its mark, or returns the reason against it. Throws catalogued errors. */
type Clearing = (job: string, mark: string) => Promise<string>

function scriptedClearing({ queue, placement, scripts }: DeadLetterParts): Clearing {
  const clearReplay = clearReplayWith(removalOf(scripts))
  const key = queueKey(placement.target)
  return async (id, mark) => (await clearReplay(queue, { queue: key, mark }, { id })).outcome
}

function publicClearing({ queue, placement: { target } }: DeadLetterParts): Clearing {
  const key = queueKey(target)
  const lookAtJob = lookAtJobWith({})
  const remove = async (id: string) => {
    const bull = await openBullQueue(queue, target.queue, target.prefix)
    const sets = [`${key}completed`, `${key}failed`]
    const scores = await Promise.all(sets.map((set) => queue.zscore(set, id)))
    try {
      await bull.queue.remove(id, { removeChildren: false })
      return (await queue.exists(key + id)) === 0
    } catch (thrown) {
      // A removal that was refused half-way may have taken the job out of its set. A job in no set would count as unfinished for
      // ever.
      if ((await queue.exists(key + id)) === 1) {
        for (const [index, set] of sets.entries()) {
          const score = scores[index]
          if (score != null) await queue.zadd(set, 'NX', score, id)
        }
      }
      throw thrown
    } finally {
      await bull.close()
    }
  }
  return async (id, mark) => {
    const { outcome } = await lookAtJob(queue, { queue: key, mark }, { id })
    if (outcome !== 'none' && outcome !== 'finished') return outcome
    try {
      if (outcome === 'finished' && !(await remove(id))) return 'busy'
      await queue.del(mark)
      return 'clear'
    } catch (thrown) {
      throw failureOn(queue, thrown)
    }
  }
}
