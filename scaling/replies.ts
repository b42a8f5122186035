/**
 * Redis' answers to the commands of `observe`, turned into facts. A server may answer anything. An answer of the wrong form is an error of
 * the catalogue, never a wrong number or an endless list: `decide` computes with these facts.
 */
import { asFailure, failure } from '../api/errors.ts'
import * as scripts from '../redis/scripts/reply.ts'
import { isEntryId } from './entryid.ts'
import type { PendingEntry } from './pending.ts'
import type { FirstPage, GroupFacts, LedgerFacts, StreamFacts } from './undelivered.ts'

const script = 'lookAtStream'
/** Longest id, group, consumer or owner. */
const longestText = 1_024
const mostRows = 65_536

const unexpected = (detail: string) => failure('RedisCommandFailed', { command: script, detail })

function list(reply: unknown): readonly unknown[] {
  const items = scripts.list(reply, script)
  if (items.length > mostRows) throw unexpected(`a list of ${items.length}`)
  return items
}

function text(value: unknown): string {
  const read = scripts.text(value, script)
  if (read.length > longestText) throw unexpected(`a text of ${read.length} characters`)
  return read
}

/** Counts and times: whole numbers whose sums stay exact. */
function count(value: unknown): number {
  const number = scripts.integer(value, script)
  if (!Number.isSafeInteger(number) || number < 0) throw unexpected(`${number} in place of a count`)
  return number
}

/** A difference of counts: a whole number, possibly negative. */
function difference(value: unknown): number {
  const number = scripts.integer(value, script)
  if (!Number.isSafeInteger(number)) throw unexpected(`${number} in place of a whole number`)
  return number
}

function id(value: unknown): string {
  const read = text(value)
  if (!isEntryId(read)) throw unexpected('a text in place of an id')
  return read
}

const isAbsent = (value: unknown): boolean => value === null || value === undefined || value === ''

const countOr = (value: unknown, otherwise: number): number => (isAbsent(value) ? otherwise : count(value))
const differenceOr = (value: unknown, otherwise: number): number => (isAbsent(value) ? otherwise : difference(value))

function pairsOf(reply: unknown): Map<string, string> {
  const flat = list(reply)
  const pairs = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.set(text(flat[i]), text(flat[i + 1]))
  return pairs
}

/** TIME: [seconds, microseconds]. */
function readTimeMs(reply: unknown): number {
  const [seconds, micros] = list(reply)
  const ms = count(seconds) * 1000 + Math.floor(count(micros) / 1000)
  if (ms > latestMs) throw unexpected('a time that no clock shows')
  return ms
}

/** A time that a Date can hold. */
const latestMs = 8_640_000_000_000_000

/** The reply of `lookAtStream`: as far as there is a stream, and a group. */
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

/** Throws RedisCommandFailed for an answer that is no look. */
export function readLook(reply: unknown): Look {
  const [time, registry, ledger, deadLetters, type, stream, group, first, summary, page, consumers, pin] = list(reply)
  return {
    atMs: readTimeMs(time),
    registry: pairsOf(registry),
    ledger: readLedger(ledger),
    deadLetters: countOr(deadLetters, 0),
    type: text(type),
    ...(stream === undefined ? {} : { stream: readStream(stream) }),
    ...(pin === undefined || pin === null ? {} : readPin(pin)),
    ...(group === undefined ? {} : { group: readGroup({ group, first, summary, page, consumers }) }),
  }
}

type GroupReply = Readonly<Record<'group' | 'first' | 'summary' | 'page' | 'consumers', unknown>>

function readGroup({ group, first, summary, page, consumers }: GroupReply): GroupLook {
  const [cursor, lag] = list(group)
  const [limit, ids] = list(first)
  return {
    facts: { lastDeliveredId: id(cursor), lag: typeof lag === 'number' ? count(lag) : null },
    first: { ids: list(ids).map(id), limit: count(limit) },
    pending: readPendingSummary(summary),
    pendingPage: readPendingPage(page),
    consumers: list(consumers).map(readConsumer),
  }
}

function readStream(reply: unknown): StreamFacts {
  const [length, added, lastGeneratedId, firstId] = list(reply)
  return {
    length: countOr(length, 0),
    // Before Redis 7.0 the counter does not exist; the length grows alike until something is trimmed.
    entriesAdded: countOr(added, countOr(length, 0)),
    lastGeneratedId: isAbsent(lastGeneratedId) ? '0-0' : id(lastGeneratedId),
    ...(isAbsent(firstId) ? {} : { firstId: id(firstId) }),
  }
}

/** Any program with the consumers' rights may write it. A spoilt note is ignored, and no look fails for it. */
function noted<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    if (asFailure(thrown).code !== 'RedisCommandFailed') throw thrown
    return undefined
  }
}

function readPin(reply: unknown): { pin?: PinLook } {
  const pin = noted(() => {
    const [group, kind, entry, since] = list(reply)
    return { group: text(group), kind: text(kind), id: id(entry), sinceMs: count(since) }
  })
  return pin === undefined ? {} : { pin }
}

function readLedger(reply: unknown): LedgerFacts | undefined {
  const fields = list(reply)
  return noted(() => ledgerOf(fields))
}

function ledgerOf([base, ...rest]: readonly unknown[]): LedgerFacts | undefined {
  if (base === null || base === undefined) return undefined
  const [settled = 0, trimmedPending = 0, lost = 0, lostBefore = 0, unaccounted = 0, undecided = 0] = rest
    .slice(0, 6)
    .map((value) => differenceOr(value, 0))
  const isMissing = unaccounted + undecided !== 0
  const missing = isMissing
    ? { missing: { unaccounted, undecided, from: text(rest[6] ?? ''), sinceMs: countOr(rest[7], 0) } }
    : {}
  return { base: difference(base), settled, trimmedPending, lost, lostBefore, ...missing }
}

export interface ConsumerFacts {
  readonly name: string
  readonly pending: number
  readonly idleMs: number
}

function readConsumer(reply: unknown): ConsumerFacts {
  const [name, pending, idle] = list(reply)
  return { name: text(name), pending: countOr(pending, 0), idleMs: countOr(idle, 0) }
}

/** How much of the pending entries each consumer holds. */
function readPendingSummary(reply: unknown): { total: number; totals: Map<string, number> } {
  const [total, consumers] = list(reply)
  const totals = list(consumers).map((row): [string, number] => [text(list(row)[0]), count(list(row)[1])])
  return { total: countOr(total, 0), totals: new Map(totals) }
}

/** XPENDING key group start end count. */
export function readPendingPage(reply: unknown): PendingEntry[] {
  return list(reply).map((row) => {
    const [entry, consumer, idle, deliveries] = list(row)
    return { id: id(entry), consumer: text(consumer), idleMs: count(idle), deliveries: count(deliveries) }
  })
}
