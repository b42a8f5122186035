/**
 * Looking at dead letters, and deleting them: what a person needs on a bad day. It reads, and sends XDEL, which Redis takes also when it
 * is out of memory; it needs neither BullMQ nor the queue's Redis.
 */
import { failure } from '../../api/errors.ts'
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import type { StreamPlace } from '../placement.ts'
import { type DeadLetter, type DeadLetterReason, decodeDeadLetter } from '../record.ts'

interface DeadLetterFilter {
  readonly reason?: DeadLetterReason
  /** Records older than this id's time are left out. */
  readonly from?: string
}

export interface Records {
  /** Records in order, oldest first, page by page; a damaged one is among them. Throws catalogued errors. */
  list(filter: DeadLetterFilter): AsyncGenerator<DeadLetter>
  /** One record, or undefined. */
  show(id: string): Promise<DeadLetter | undefined>
  /** Deletes records; says how many were still there. */
  purge(ids: readonly string[]): Promise<number>
}

const mostAtOnce = 200
/** Bytes of a page where records are alike. Records hold payloads, and hundreds of large ones exceed a reasonable reply. */
const pageBytes = 8 * 2 ** 20
/** Growth from one page to the next: the records so far predict little about the next ones. */
const growth = 4

/** The number of records to request after a page of `entries`. */
function nextCount(entries: readonly (readonly [unknown, readonly Buffer[]])[]): number {
  const bytes = entries.reduce((sum, [, fields]) => fields.reduce((inner, { length }) => inner + length, sum), 0)
  const fitting = Math.floor((pageBytes * entries.length) / Math.max(1, bytes))
  return Math.max(1, Math.min(mostAtOnce, fitting, entries.length * growth))
}

export function createRecords(stream: RedisConnection, { deadLetters }: StreamPlace): Records {
  const page = async (start: string, count: number) => {
    try {
      return await stream.xrangeBuffer(deadLetters, start, '+', 'COUNT', count)
    } catch (thrown) {
      throw failureOn(stream, thrown)
    }
  }
  return {
    async *list(filter) {
      let start = filter.from ?? '-'
      let count = growth
      for (;;) {
        const entries = await page(start, count)
        for (const [id, fields] of entries) {
          const record = decodeDeadLetter(String(id), fields)
          if (filter.reason === undefined || record.reason === filter.reason) yield record
        }
        if (entries.length < count) return
        count = nextCount(entries)
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
    async purge(ids) {
      try {
        return ids.length === 0 ? 0 : await stream.xdel(deadLetters, ...ids)
      } catch (thrown) {
        throw failureOn(stream, thrown)
      }
    },
  }
}
