/**
 * Where a request is, by the id of its entry or by its key: entry, job and dead letter, told as one state and one timeline. It takes at
 * most five round trips, and no command whose cost grows with stream or queue.
 */
import { failureOn, type RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import type { Codec } from '../payload/codec.ts'
import type { ForwardTarget } from '../placement.ts'
import {
  type DeadStatus,
  type EntryLook,
  type EntryStatus,
  findDead,
  lookAtEntry,
  readDead,
  type StatusPlace,
  scan,
} from './entrystate.ts'
import { isEntryId, type JobState, type JobStatus, lookAtKey, type QueueLook } from './jobstate.ts'

/** A job's state where there is one; before and after that: */
export type RequestState =
  | JobState
  /** In the stream; no consumer had it. */
  | 'Unread'
  /** A consumer holds its entry. */
  | 'Forwarding'
  | 'Dead'
  /** Forwarded; its job has ended and is not kept, or was removed. */
  | 'NotKept'
  /** Cancelled before it began. */
  | 'Cancelled'
  /** No trace: never dispatched, not forwarded yet (asked by key), or longer ago than anything is kept. */
  | 'Unknown'

export interface RequestEvent {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly what: string
}

export interface RequestStatus {
  readonly state: RequestState
  /** Hash of the idempotency key. */
  readonly key?: string
  readonly jobId?: string
  readonly entry?: EntryStatus
  readonly job?: JobStatus
  readonly dead?: DeadStatus
  /** Entry that was forwarded for this key, where it is another one: this entry is its duplicate. */
  readonly duplicateOf?: string
  /** How often it came back from the dead letters. */
  readonly redrives: number
  /** Oldest first. */
  readonly timeline: readonly RequestEvent[]
}

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

/** What the mark of a cancelled key holds, in place of an origin. */
export const cancelledMark = 'cancelled'

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

interface Gathered {
  readonly hash?: string | undefined
  readonly entry?: EntryStatus | undefined
  readonly queue: QueueLook
  readonly dead: readonly DeadStatus[]
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

function summary(target: ForwardTarget, { hash, entry, queue, dead: records }: Gathered): RequestStatus {
  const { job, mark, forwardedAt } = queue
  // A record is of this request while nothing came after it: a replay deletes it.
  const [dead] = records.toSorted((a, b) => b.deadAt - a.deadAt)
  const duplicateOf = entry !== undefined && mark !== undefined && isEntryId(mark) && mark !== entry.id ? mark : undefined
  const current = { entry, job, dead, mark }
  return {
    state: stateOf(current),
    ...(hash === undefined ? {} : { key: hash, jobId: jobId(target.keys.scope, hash) }),
    ...(entry === undefined ? {} : { entry }),
    ...(job === undefined ? {} : { job }),
    ...(dead === undefined ? {} : { dead }),
    ...(duplicateOf === undefined || entry?.state !== 'Settled' ? {} : { duplicateOf }),
    redrives: Math.max(entry?.redrives ?? 0, job?.redrives ?? 0, dead?.redrives ?? 0),
    timeline: timelineOf(current, forwardedAt),
  }
}

interface Current {
  readonly entry: EntryStatus | undefined
  readonly job: JobStatus | undefined
  readonly dead: DeadStatus | undefined
  readonly mark: string | undefined
}

function stateOf({ entry, job, dead, mark }: Current): RequestState {
  const isOpen = job !== undefined && job.state !== 'Completed' && job.state !== 'Failed'
  if (isOpen) return job.state
  if (mark === cancelledMark && job === undefined) return 'Cancelled'
  if (entry?.state === 'Pending') return 'Forwarding'
  if (entry?.state === 'Unread') return 'Unread'
  if (dead !== undefined && (job?.finishedAt ?? 0) <= dead.deadAt) return 'Dead'
  if (job !== undefined) return job.state
  return mark !== undefined || entry?.state === 'Settled' ? 'NotKept' : 'Unknown'
}

/** What a mark stands for that holds no entry's id. */
const markings: Readonly<Record<string, string>> = { direct: 'dispatched to the queue', [cancelledMark]: 'cancelled' }

function timelineOf({ entry, job, dead, mark }: Current, forwardedAt: number | undefined): readonly RequestEvent[] {
  const events: RequestEvent[] = []
  const add = (at: number | undefined, what: string) => {
    if (at !== undefined && at > 0) events.push({ at, what })
  }
  const dispatched = entry?.id ?? job?.entry ?? dead?.entry
  if (dispatched !== undefined && isEntryId(dispatched)) {
    add(
      Number(dispatched.split('-')[0]),
      `dispatched as entry ${dispatched}${entry?.state === 'Trimmed' ? ', trimmed since' : ''}`,
    )
  }
  if (entry?.state === 'Pending') add(entry.deliveredAt, `held by consumer ${entry.consumer}, delivery ${entry.deliveries}`)
  add(forwardedAt, markings[mark ?? ''] ?? 'forwarded to the queue')
  if (job !== undefined) {
    if (forwardedAt === undefined) add(job.addedAt, `job ${job.id} added`)
    add(job.startedAt, `attempt ${job.attempts} of ${job.maxAttempts} begun`)
    if (job.state === 'Completed') add(job.finishedAt, 'completed')
    if (job.state === 'Failed') add(job.finishedAt, `failed: ${job.error ?? ''}`)
    if (job.state === 'Delayed') add(job.dueAt, 'due')
  }
  if (dead !== undefined) add(dead.deadAt, `dead letter ${dead.id}, ${dead.reason ?? 'of unknown reason'}: ${dead.error}`)
  return events.sort((a, b) => a.at - b.at)
}
