/**
 * Where a request is, by the id of its entry or by its key: entry, job and dead letter, as one state and one timeline. It takes at
 * most five round trips, and no command whose cost grows with stream or queue.
 */
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import type { Codec } from '../payload/codec.ts'
import type { ForwardTarget } from '../placement.ts'
import { isEntryId } from '../record.ts'
import { type EntryLook, findDead, lookAtEntry, readDead, type StatusPlace, scan } from './entrystate.ts'
import { lookAtKey, type QueueLook } from './jobstate.ts'
import { type Gathered, type RequestStatus, summary } from './summary.ts'

export interface RequestRef {
  /** Id of the entry. */
  readonly entry?: string
  /** Hash of the idempotency key. */
  readonly hash?: string
}

interface StatusParts {
  readonly stream: RedisConnection
  readonly queue: RedisConnection
  readonly place: StatusPlace
  readonly target: ForwardTarget
  readonly codec: Codec
}

/** Most entries, and most dead letters, that one search reads. */
export const mostScanned = 1_000

/**
 * Throws catalogued errors.
 * @param scanned how many of the newest entries and dead letters are searched where nothing else leads to the request
 */
export async function requestStatus(parts: StatusParts, ref: RequestRef, scanned = 0): Promise<RequestStatus> {
  try {
    return summary(parts.target, await gather(parts, ref, Math.min(scanned, mostScanned)))
  } catch (thrown) {
    throw failureOn(parts.stream, thrown)
  }
}

async function gather(parts: StatusParts, ref: RequestRef, scanned: number): Promise<Gathered> {
  const { stream, place, codec } = parts
  const byId = ref.entry === undefined ? undefined : await lookAtEntry(stream, place, codec, ref.entry)
  const hash = byId?.hash ?? ref.hash
  const names = [hash, ref.entry].filter((name) => name !== undefined)
  const nothing: QueueLook = {}
  const [queue, records] = await Promise.all([
    hash === undefined ? nothing : lookAtKey(parts.queue, parts.target, hash),
    findDead(stream, place, names),
  ])
  const origin = queue.mark ?? queue.job?.entry
  const byOrigin = byId === undefined && origin !== undefined && isEntryId(origin)
  const [found, dead] = await Promise.all([
    byOrigin ? lookAtEntry(stream, place, codec, origin) : byId,
    readDead(stream, place, records),
  ])
  const isThere = found !== undefined && found.entry.state !== 'Trimmed'
  const isTraced = isThere || queue.job !== undefined || queue.mark !== undefined || dead.length > 0
  if (isTraced || scanned <= 0) return { hash, entry: found?.entry, queue, dead }
  return { hash, queue, ...(await search(parts, ref, hash, found, scanned)) }
}

async function search(
  { stream, place, codec }: StatusParts,
  ref: RequestRef,
  hash: string | undefined,
  found: EntryLook | undefined,
  scanned: number,
) {
  const wanted = { ...(ref.entry === undefined ? {} : { entry: ref.entry }), ...(hash === undefined ? {} : { hash }) }
  const result = await scan(stream, place, codec, wanted, scanned)
  const look = found ?? (result.entry === undefined ? undefined : await lookAtEntry(stream, place, codec, result.entry))
  return { entry: look?.entry, dead: result.dead }
}
