/** The stream's side of a request: its entry, who holds it, and its dead letter. */
import type { RedisConnection } from '../connect/connection.ts'
import { replyCode } from '../connect/replies.ts'
import type { KeySpace } from '../keys.ts'
import type { Codec } from '../payload/codec.ts'
import { type DeadLetter, type DeadLetterReason, decodeDeadLetter } from '../record.ts'

export interface StatusPlace {
  readonly stream: string
  readonly group: string
  /** Undefined: not known, so dead letters are not looked for. */
  readonly deadLetters: string | undefined
  readonly keys: Pick<KeySpace, 'dead'>
}

export interface EntryStatus {
  readonly id: string
  /** Unread: no consumer has read it. Pending: a consumer holds it. Settled: acknowledged. Trimmed: no longer in the stream. */
  readonly state: 'Unread' | 'Pending' | 'Settled' | 'Trimmed'
  readonly consumer?: string
  /** Deliveries so far, while it is pending. */
  readonly deliveries?: number
  /** When it was last delivered or renewed, milliseconds since 1970. */
  readonly deliveredAt?: number
  readonly redrives: number
}

export interface EntryLook {
  readonly entry: EntryStatus
  /** Hash of the idempotency key, where the entry is there and has one. */
  readonly hash?: string
}

export interface DeadStatus {
  /** Id of the record: `streampipeline dead show ID`. */
  readonly id: string
  readonly reason: DeadLetterReason | undefined
  readonly error: string
  readonly deliveries: number
  /** Milliseconds since 1970. */
  readonly deadAt: number
  readonly entry: string
  readonly redrives: number
}

async function unlessNoGroup<T>(reply: Promise<T>): Promise<T | undefined> {
  try {
    return await reply
  } catch (thrown) {
    if (replyCode(thrown) !== 'NOGROUP') throw thrown
    return undefined
  }
}

/** One round trip. Throws what Redis replies. */
export async function lookAtEntry(connection: RedisConnection, place: StatusPlace, codec: Codec, id: string): Promise<EntryLook> {
  const { stream, group } = place
  // In this order: an entry that was delivered, and then is not pending, is settled. The other way round it may just have been read.
  const [groups, pending, found, now] = await Promise.all([
    Promise.allSettled([connection.xinfo('GROUPS', stream) as Promise<unknown[][]>]),
    unlessNoGroup(connection.xpending(stream, group, id, id, 1) as Promise<[string, string, number, number][]>),
    connection.xrangeBuffer(stream, id, id),
    connection.time(),
  ])
  const [, fields] = found[0] ?? []
  // Redis refuses it for a stream that is not there, which then has no entry either.
  const [listed] = groups
  if (fields !== undefined && listed.status === 'rejected') throw listed.reason
  const delivered = listed.status === 'fulfilled' ? lastDelivered(listed.value, group) : undefined
  const decoded = fields && codec.decode(fields)
  const [row] = pending ?? []
  const nowMs = Number(now[0]) * 1_000 + Math.floor(Number(now[1]) / 1_000)
  const held = row && { consumer: row[1], deliveredAt: nowMs - row[2], deliveries: row[3] }
  const state = held ? 'Pending' : fields === undefined ? 'Trimmed' : isAfter(id, delivered ?? '0-0') ? 'Unread' : 'Settled'
  return {
    entry: { id, state, ...held, redrives: decoded?.redrives ?? 0 },
    ...(decoded?.kind === 'Valid' ? { hash: decoded.hash } : {}),
  }
}

function lastDelivered(groups: readonly unknown[][], group: string): string | undefined {
  for (const flat of groups) {
    const field = (name: string) => flat[flat.indexOf(name) + 1]
    if (field('name') === group) return String(field('last-delivered-id'))
  }
  return undefined
}

/** Ids have 64 bits on each side of the dash. */
function isAfter(id: string, other: string): boolean {
  const [ms = '0', seq = '0'] = id.split('-')
  const [otherMs = '0', otherSeq = '0'] = other.split('-')
  return ms === otherMs ? BigInt(seq) > BigInt(otherSeq) : BigInt(ms) > BigInt(otherMs)
}

/** Ids of the newest records of these names, by the index. One round trip. @param names hash of the key, or id of the entry */
export async function findDead(connection: RedisConnection, { keys }: StatusPlace, names: readonly string[]): Promise<string[]> {
  const found = await Promise.all(names.map((name) => connection.get(keys.dead(name))))
  return found.filter((id) => id !== null)
}

/** The records of these ids that are still there. One round trip. */
export async function readDead(
  connection: RedisConnection,
  { deadLetters }: StatusPlace,
  ids: readonly string[],
): Promise<DeadStatus[]> {
  if (deadLetters === undefined) return []
  const found = await Promise.all(ids.map((id) => connection.xrangeBuffer(deadLetters, id, id)))
  return found.flat().map(([id, fields]) => deadOf(decodeDeadLetter(String(id), fields)))
}

function deadOf({ id, reason, error, deliveries, deadAt, originalId, redrives }: DeadLetter): DeadStatus {
  return { id, reason, error, deliveries, deadAt, entry: originalId, redrives }
}

interface Scanned {
  readonly entry?: string
  readonly dead: readonly DeadStatus[]
}

/**
 * The newest of the last `count` entries with this key, and the dead letters of this key or entry among the last `count`. One round trip.
 */
export async function scan(
  connection: RedisConnection,
  { stream, deadLetters }: StatusPlace,
  codec: Codec,
  wanted: { readonly entry?: string; readonly hash?: string },
  count: number,
): Promise<Scanned> {
  const [entries, records] = await Promise.all([
    wanted.hash === undefined ? [] : connection.xrevrangeBuffer(stream, '+', '-', 'COUNT', count),
    deadLetters === undefined ? [] : connection.xrevrangeBuffer(deadLetters, '+', '-', 'COUNT', count),
  ])
  const match = entries.find(([, fields]) => {
    const decoded = codec.decode(fields)
    return decoded.kind === 'Valid' && decoded.hash === wanted.hash
  })
  const dead = records
    .map(([id, fields]) => decodeDeadLetter(String(id), fields))
    .filter(
      ({ idempotencyKey, originalId }) =>
        (wanted.hash !== undefined && idempotencyKey === wanted.hash) ||
        (wanted.entry !== undefined && originalId === wanted.entry) ||
        // A consumer does not fetch an entry that may end it, so its record has no key.
        (match !== undefined && originalId === String(match[0])),
    )
  return { ...(match === undefined ? {} : { entry: String(match[0]) }), dead: dead.map(deadOf) }
}
