/** The findings about a request, as one state and one timeline. Pure. */
import { jobId } from '../keys.ts'
import type { ForwardTarget } from '../placement.ts'
import { isEntryId } from '../record.ts'
import type { DeadStatus, EntryStatus } from './entrystate.ts'
import type { JobState, JobStatus, QueueLook } from './jobstate.ts'

/**
 * While Redis holds the job, this is the job's state (JobState). The other values apply before the job is made, and after it is
 * gone.
 */
export type RequestState =
  | JobState
  /** In the stream; no consumer has read it. */
  | 'Unread'
  /** A consumer holds its entry. */
  | 'Forwarding'
  | 'Dead'
  /** Forwarded. Its job has ended and was not kept, or was removed. */
  | 'NotKept'
  /** Cancelled before it began. */
  | 'Cancelled'
  /** No trace in Redis: never dispatched, not forwarded yet (if asked by key), or too long ago. */
  | 'Unknown'

export interface RequestEvent {
  /** Milliseconds since 1970. */
  readonly at: number
  /** A line for people, such as `forwarded to the queue`. */
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
  /** Id of the entry that was forwarded for this key, if this entry is a duplicate. */
  readonly duplicateOf?: string
  /** Replays from the dead letters. */
  readonly redrives: number
  /** Oldest first. */
  readonly timeline: readonly RequestEvent[]
}

/** The content of a cancelled key's mark, in place of an origin. */
export const cancelledMark = 'cancelled'

export interface Gathered {
  readonly hash?: string | undefined
  readonly entry?: EntryStatus | undefined
  readonly queue: QueueLook
  readonly dead: readonly DeadStatus[]
}

export function summary(target: ForwardTarget, { hash, entry, queue, dead: records }: Gathered): RequestStatus {
  const { job, mark, forwardedAt } = queue
  // A replay deletes the record. So a record that is there is the last that happened to this request.
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

/** The meaning of a mark that holds no entry's id. */
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
