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
import { removalOf } from '../bullmq/queue.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type Placement, queueKey } from '../placement.ts'
import { type DeadLetter, type DeadLetterReason, decodeDeadLetter } from '../record.ts'
import { clearReplayWith, replayDeadLetterWith, restoreDeadLetter } from '../scripts/generated.ts'

export type ReplayOutcome =
  | { readonly kind: 'replayed'; readonly id: string }
  /** No such record any more: somebody else replayed or purged it. */
  | { readonly kind: 'gone' }
  /** Its job waits or runs in the queue; the record stays. */
  | { readonly kind: 'busy'; readonly job: string }
  /** The record holds no payload: the entry had been trimmed before it could be read. */
  | { readonly kind: 'empty' }

interface DeadLetterFilter {
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

interface DeadLetterParts {
  readonly stream: RedisConnection
  readonly queue: RedisConnection
  readonly placement: Placement
  readonly scripts: BullScripts | undefined
}

const pageSize = 200

export function createDeadLetters(parts: DeadLetterParts): DeadLetters {
  const { stream, queue, placement } = parts
  const { place, target } = placement
  const removal = removalOf(parts.scripts)
  const clearReplay = clearReplayWith(removal)
  const replayDeadLetter = replayDeadLetterWith(removal)

  const page = async (start: string, count: number) => {
    try {
      return await stream.xrangeBuffer(place.deadLetters, start, '+', 'COUNT', count)
    } catch (thrown) {
      throw failureOn(stream, thrown)
    }
  }

  const run = async ({ id, idempotencyKey }: DeadLetter, job: string): Promise<string> => {
    const keys = { stream: place.stream, deadLetters: place.deadLetters }
    const queueKeys = { queue: queueKey(target), mark: target.keys.mark(idempotencyKey) }
    if (placement.together) return (await replayDeadLetter(stream, { ...keys, ...queueKeys }, { id, jobId: job })).outcome
    if (job !== '' && (await clearReplay(queue, queueKeys, { id: job })).outcome === 'busy') return 'busy'
    return (await restoreDeadLetter(stream, keys, { id })).outcome
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
      const answer = await run(record, job)
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
