/**
 * Redis's answers to what `observe` sends, turned into facts. Maps arrive as flat lists (RESP2, and ioredis's default mapping of
 * RESP3); fields that newer servers add are ignored, fields that older ones lack get a stated substitute.
 */
import type { PendingEntry } from './pending.ts'
import type { FirstPage, GroupFacts, LedgerFacts, StreamFacts } from './undelivered.ts'

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
function readTimeMs(reply: unknown): number {
  const [seconds, micros] = list(reply)
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}

/** What `lookAtStream` answers: as far as there is a stream, and a group. */
export interface Look {
  readonly atMs: number
  /** Consumer name → uid of the process that registered it. */
  readonly registry: ReadonlyMap<string, string>
  readonly ledger: LedgerFacts | undefined
  readonly deadLetters: number
  /** Redis' name of the type of the stream's key, `none` where there is none. */
  readonly type: string
  readonly stream?: StreamFacts
  readonly group?: GroupLook
  readonly pin?: PinLook
}

/** An entry that retention waits for. */
export interface PinLook {
  readonly group: string
  readonly kind: string
  readonly id: string
  /** By the server's clock. */
  readonly sinceMs: number
}

export interface GroupLook {
  readonly facts: GroupFacts
  readonly first: FirstPage
  readonly pending: { readonly total: number; readonly totals: ReadonlyMap<string, number> }
  /** The oldest ones. */
  readonly pendingPage: readonly PendingEntry[]
  readonly consumers: readonly ConsumerFacts[]
}

export function readLook(reply: unknown): Look {
  const [time, registry, ledger, deadLetters, type, stream, group, first, summary, page, consumers, pin] = list(reply)
  const [cursor, lag] = list(group)
  const [limit, ids] = list(first)
  return {
    atMs: readTimeMs(time),
    registry: new Map([...fieldsOf(registry)].map(([name, uid]) => [name, String(uid)])),
    ledger: readLedger(ledger),
    deadLetters: Number(deadLetters ?? 0),
    type: String(type),
    ...(stream === undefined ? {} : { stream: readStream(stream) }),
    ...(pin === undefined || pin === null ? {} : { pin: readPin(pin) }),
    ...(group === undefined
      ? {}
      : {
          group: {
            facts: { lastDeliveredId: String(cursor), lag: typeof lag === 'number' ? lag : null },
            first: { ids: list(ids).map(String), limit: Number(limit) },
            pending: readPendingSummary(summary),
            pendingPage: readPendingPage(page),
            consumers: readConsumers(consumers),
          },
        }),
  }
}

function readStream(reply: unknown): StreamFacts {
  const [length, added, lastGeneratedId, firstId] = list(reply)
  return {
    length: numberOr(length, 0),
    // Before Redis 7.0 the counter does not exist; the length grows alike until something is trimmed.
    entriesAdded: numberOr(added, numberOr(length, 0)),
    lastGeneratedId: String(lastGeneratedId ?? '0-0'),
    ...(typeof firstId === 'string' ? { firstId } : {}),
  }
}

function readPin(reply: unknown): PinLook {
  const [group, kind, id, since] = list(reply)
  return { group: String(group), kind: String(kind), id: String(id), sinceMs: Number(since) }
}

/** Characters of an entry's fields. */
function entryBytes(entry: unknown): number {
  return list(list(entry)[1]).reduce<number>((sum, text) => sum + String(text).length, 0)
}

function readLedger(reply: unknown): LedgerFacts | undefined {
  const [base, ...rest] = list(reply)
  if (base === null || base === undefined) return undefined
  const [settled = 0, trimmedPending = 0, lost = 0, lostBefore = 0, unaccounted = 0, undecided = 0, , missingSinceMs = 0] =
    rest.map((value) => numberOr(value, 0))
  const missing =
    unaccounted + undecided === 0 ? {} : { missing: { unaccounted, undecided, from: String(rest[6]), sinceMs: missingSinceMs } }
  return { base: Number(base), settled, trimmedPending, lost, lostBefore, ...missing }
}

export interface ConsumerFacts {
  readonly name: string
  readonly pending: number
  readonly idleMs: number
}

/** XINFO CONSUMERS. */
function readConsumers(reply: unknown): ConsumerFacts[] {
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
function readPendingSummary(reply: unknown): { total: number; totals: Map<string, number> } {
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
