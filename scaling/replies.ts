/**
 * Redis's answers to the commands `observe` sends, turned into facts. Maps arrive as flat lists (RESP2, and ioredis's default
 * mapping of RESP3); fields that newer servers add are ignored, fields that older ones lack get a stated substitute.
 */
import type { PendingEntry } from './pending.ts'
import type { GroupFacts, LedgerFacts, StreamFacts } from './undelivered.ts'

type Fields = ReadonlyMap<string, unknown>

const list = (reply: unknown): readonly unknown[] => (Array.isArray(reply) ? reply : [])

function fieldsOf(reply: unknown): Fields {
  const flat = list(reply)
  const fields = new Map<string, unknown>()
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), flat[i + 1])
  return fields
}

const numberOr = (value: unknown, otherwise: number): number =>
  value === null || value === undefined || value === '' ? otherwise : Number(value)

/** TIME: [seconds, microseconds]. */
export function readTimeMs(reply: unknown): number {
  const [seconds, micros] = list(reply)
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}

export function readStream(reply: unknown): StreamFacts {
  const fields = fieldsOf(reply)
  const length = numberOr(fields.get('length'), 0)
  const first = readEntryId(fields.get('first-entry'))
  const ends = [fields.get('first-entry'), fields.get('last-entry')]
  return {
    length,
    // Before Redis 7.0 the counter does not exist; the length grows alike until something is trimmed.
    entriesAdded: numberOr(fields.get('entries-added'), length),
    lastGeneratedId: String(fields.get('last-generated-id') ?? '0-0'),
    entryBytes: Math.max(...ends.map(entryBytes)),
    ...(first === undefined ? {} : { firstId: first }),
  }
}

/** Characters of an entry's fields. */
function entryBytes(entry: unknown): number {
  return list(list(entry)[1]).reduce<number>((sum, text) => sum + String(text).length, 0)
}

/** HMGET of the ledger's fields, in the order of `ledgerFields`. */
export const ledgerFields = ['base', 'settled', 'trimmedPending', 'lost', 'lostBefore'] as const

export function readLedger(reply: unknown): LedgerFacts | undefined {
  const [base, ...rest] = list(reply)
  if (base === null || base === undefined) return undefined
  const [settled = 0, trimmedPending = 0, lost = 0, lostBefore = 0] = rest.map((value) => numberOr(value, 0))
  return { base: Number(base), settled, trimmedPending, lost, lostBefore }
}

/** The named group of XINFO GROUPS, or undefined when the stream has no such group. */
export function readGroup(reply: unknown, name: string): GroupFacts | undefined {
  for (const item of list(reply)) {
    const fields = fieldsOf(item)
    if (fields.get('name') !== name) continue
    const lag = fields.get('lag')
    return {
      lastDeliveredId: String(fields.get('last-delivered-id') ?? '0-0'),
      lag: lag === null || lag === undefined ? null : Number(lag),
    }
  }
  return undefined
}

export interface ConsumerFacts {
  readonly name: string
  readonly pending: number
  readonly idleMs: number
}

/** XINFO CONSUMERS. */
export function readConsumers(reply: unknown): ConsumerFacts[] {
  return list(reply).map((item) => {
    const fields = fieldsOf(item)
    return {
      name: String(fields.get('name')),
      pending: numberOr(fields.get('pending'), 0),
      idleMs: numberOr(fields.get('idle'), 0),
    }
  })
}

/** XPENDING key group: [count, lowest, highest, [[consumer, count], …] or null]. */
export function readPendingSummary(reply: unknown): { total: number; totals: Map<string, number> } {
  const [total, , , consumers] = list(reply)
  return {
    total: numberOr(total, 0),
    totals: new Map(list(consumers).map((row) => [String(list(row)[0]), Number(list(row)[1])])),
  }
}

/** XPENDING key group start end count. */
export function readPendingPage(reply: unknown): PendingEntry[] {
  return list(reply).map((row) => {
    const [id, consumer, idle, deliveries] = list(row)
    return { id: String(id), consumer: String(consumer), idleMs: Number(idle), deliveries: Number(deliveries) }
  })
}

/** An entry [id, fields] or a page's first one. */
function readEntryId(reply: unknown): string | undefined {
  const id = list(reply)[0]
  return typeof id === 'string' ? id : undefined
}

/** XRANGE: the ids and how many bytes of fields came with them. */
export function readRange(reply: unknown): { ids: string[]; bytes: number } {
  const ids: string[] = []
  let bytes = 0
  for (const entry of list(reply)) {
    const id = readEntryId(entry)
    if (id === undefined) continue
    ids.push(id)
    bytes += entryBytes(entry)
  }
  return { ids, bytes }
}
