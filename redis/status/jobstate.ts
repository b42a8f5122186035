/**
 * The queue's side of a request: its mark and its job. BullMQ's own `getState` looks through the waiting list, whose length is the
 * backlog. Here a job counts as waiting if it is neither in one of the sets nor active. No command asked here costs more as the
 * queue grows.
 */
import { memberOf } from '../bullmq/item.ts'
import type { RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import { type ForwardTarget, queueKey } from '../placement.ts'
import { isEntryId } from '../record.ts'

export type JobState =
  | ('Waiting' | 'Prioritized' | 'Delayed' | 'WaitingChildren' | 'Active')
  /** Stalled: its worker is gone, and BullMQ moves the job back soon. */
  | ('Stalled' | 'Completed')
  /** Its last attempt failed. */
  | 'Failed'

export interface JobStatus {
  readonly id: string
  readonly name: string
  readonly state: JobState
  /** Attempts that have begun. */
  readonly attempts: number
  /** Attempts that the job may have. */
  readonly maxAttempts: number
  readonly progress?: unknown
  /** The return value of the handler. */
  readonly result?: unknown
  /** Why the last attempt failed. */
  readonly error?: string
  /** When the job was added, milliseconds since 1970. */
  readonly addedAt: number
  /** When a delayed job is due, milliseconds since 1970. */
  readonly dueAt?: number
  /** When the last attempt began, milliseconds since 1970. */
  readonly startedAt?: number
  /** When the job ended, milliseconds since 1970. */
  readonly finishedAt?: number
  /** Id of the entry it came from. */
  readonly entry?: string
  /** Replays of its request from the dead letters. */
  readonly redrives: number
}

export interface QueueLook {
  /** The origin that the mark of the key holds: an entry's id, or `direct`. */
  readonly mark?: string
  /** When the key was forwarded, milliseconds since 1970; as long as it is remembered. */
  readonly forwardedAt?: number
  readonly job?: JobStatus
}

const fields = [
  ...(['name', 'timestamp', 'delay', 'processedOn', 'finishedOn', 'failedReason'] as const),
  ...(['ats', 'atm', 'progress', 'returnvalue', 'opts'] as const),
] as const

/** Longest part of the list of jobs at work that is looked through: workers bound that list, not the backlog. */
const mostActive = 10_000

/** One round trip. Throws what Redis replies. @param hash of the idempotency key */
export async function lookAtKey(connection: RedisConnection, target: ForwardTarget, hash: string): Promise<QueueLook> {
  const queue = queueKey(target)
  const id = jobId(target.keys.scope, hash)
  // The queue goes on between these commands. Their order is that of a job's life, so that a later one finds what an earlier one missed:
  // a job that ends meanwhile is in a set of ended jobs, and its result is read after that.
  const [mark, leftMs, now, before, active, after, delayed, ranked, parent, completed, failed, values] = await Promise.all([
    connection.get(target.keys.mark(hash)),
    connection.pttl(target.keys.mark(hash)),
    connection.call('TIME') as Promise<[string, string]>,
    connection.exists(`${queue}${id}:lock`),
    connection.call('LPOS', `${queue}active`, id, 'MAXLEN', String(mostActive)),
    connection.exists(`${queue}${id}:lock`),
    connection.zscore(`${queue}delayed`, id),
    connection.zscore(`${queue}prioritized`, id),
    connection.zscore(`${queue}waiting-children`, id),
    connection.zscore(`${queue}completed`, id),
    connection.zscore(`${queue}failed`, id),
    connection.hmget(queue + id, ...fields),
  ])
  const nowMs = Number(now[0]) * 1_000 + Math.floor(Number(now[1]) / 1_000)
  const forwarded = mark === null || leftMs < 0 ? {} : { forwardedAt: nowMs + leftMs - target.windowMs }
  const look = { ...(mark === null ? {} : { mark }), ...forwarded }
  const [name] = values
  if (name === null || name === undefined) return look
  const state = stateOf({ delayed, ranked, parent, completed, failed, isActive: active !== null, isLocked: before + after > 0 })
  // BullMQ keeps milliseconds and an order in the score.
  const due = delayed === null ? undefined : Math.floor(Number(delayed) / 0x1000)
  return { ...look, job: jobOf(id, name, state, values, due) }
}

interface Places {
  readonly delayed: string | null
  readonly ranked: string | null
  readonly parent: string | null
  readonly completed: string | null
  readonly failed: string | null
  readonly isActive: boolean
  readonly isLocked: boolean
}

function stateOf({ delayed, ranked, parent, completed, failed, isActive, isLocked }: Places): JobState {
  if (completed !== null) return 'Completed'
  if (failed !== null) return 'Failed'
  if (delayed !== null) return 'Delayed'
  if (ranked !== null) return 'Prioritized'
  if (parent !== null) return 'WaitingChildren'
  if (!isActive) return 'Waiting'
  return isLocked ? 'Active' : 'Stalled'
}

function jobOf(
  id: string,
  name: string,
  state: JobState,
  values: readonly (string | null)[],
  dueAt: number | undefined,
): JobStatus {
  const text = (field: (typeof fields)[number]) => values[fields.indexOf(field)] ?? undefined
  const time = (field: 'processedOn' | 'finishedOn') => numberOf(text(field))
  const [startedAt, finishedAt] = [time('processedOn'), time('finishedOn')]
  const [progress, result, error] = [jsonOrText(text('progress')), jsonOrText(text('returnvalue')), text('failedReason')]
  const options = jsonOrText(text('opts'))
  const own = memberOf(options, 'sp')
  const entry = memberOf(own, 'id')
  const maxAttempts = memberOf(options, 'attempts')
  return {
    id,
    name,
    state,
    attempts: numberOf(text('ats')) ?? numberOf(text('atm')) ?? 0,
    maxAttempts: typeof maxAttempts === 'number' && maxAttempts > 0 ? maxAttempts : 1,
    ...(progress === undefined || progress === 0 ? {} : { progress }),
    ...(state === 'Completed' && result !== undefined ? { result } : {}),
    ...(error === undefined || error === '' || state === 'Completed' ? {} : { error }),
    addedAt: numberOf(text('timestamp')) ?? 0,
    ...(dueAt === undefined ? {} : { dueAt }),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(typeof entry === 'string' && isEntryId(entry) ? { entry } : {}),
    redrives: numberOf(memberOf(own, 'redrives')) ?? 0,
  }
}

function numberOf(text: unknown): number | undefined {
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** Any program may have written the value: a text that is no JSON stays text. */
export function jsonOrText(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
