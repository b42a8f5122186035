/**
 * BullMQ's queue in memory: attempts and their backoff, delays, and the jobs that it keeps. A job is in one place:
 *
 *     Delayed ── due ──→ Waiting or Prioritized ── taken ──→ Active ──→ Completed or Failed
 *        ↑                        ↑                            │
 *        └──── backoff, a move ───┴── no backoff, a move ──────┘
 */
import type { JobProgress, JobsOptions } from 'bullmq'
import { memberOf } from '../../redis/bullmq/item.ts'
import { isEntryId } from '../../redis/record.ts'
import type { JobState, JobStatus } from '../../redis/status/jobstate.ts'
import type { JobMove } from './job.ts'
import { createTurns } from './turns.ts'

export interface StoredJob {
  readonly id: string
  readonly name: string
  /** The payload as JSON. */
  readonly json: string
  readonly opts: JobsOptions
  readonly addedAt: number
  readonly logs: string[]
  state: JobState
  attemptsMade: number
  attemptsStarted: number
  progress: JobProgress
  dueAt?: number | undefined
  startedAt?: number
  finishedAt?: number
  result?: unknown
  error?: string
}

export interface TestQueue {
  readonly jobs: ReadonlyMap<string, StoredJob>
  add(job: Pick<StoredJob, 'id' | 'name' | 'json' | 'opts'>, timestamp: number): void
  /** The next job that may run now. @param passed ids of jobs to leave */
  take(passed: ReadonlySet<string>): StoredJob | undefined
  complete(job: StoredJob, result: unknown): void
  /** @returns whether BullMQ has given the job up */
  fail(job: StoredJob, error: Error): boolean
  move(job: StoredJob, move: JobMove): void
  /** Drops finished jobs, as the one that has just finished asks. */
  keep(job: StoredJob): void
  remove(id: string): void
  /** When the next delayed job comes due, after now. */
  nextDue(): number | undefined
}

export function createTestQueue(now: () => number): TestQueue {
  const jobs = new Map<string, StoredJob>()
  const turns = createTurns()

  function enqueue(job: StoredJob, atOnce: boolean): void {
    job.dueAt = undefined
    job.state = turns.enter(job, atOnce)
  }

  function delay(job: StoredJob, dueAt: number): void {
    job.state = 'Delayed'
    job.dueAt = dueAt
  }

  const delayed = () => [...jobs.values()].filter(({ state }) => state === 'Delayed')

  function promote(): void {
    const due = delayed().filter(({ dueAt = 0 }) => dueAt <= now())
    for (const job of due.toSorted((a, b) => (a.dueAt ?? 0) - (b.dueAt ?? 0))) enqueue(job, false)
  }

  function finish(job: StoredJob, state: 'Completed' | 'Failed'): void {
    job.state = state
    job.finishedAt = now()
  }

  return {
    jobs,
    add({ id, name, json, opts }, timestamp) {
      const fresh = { attemptsMade: 0, attemptsStarted: 0, progress: 0, logs: [], addedAt: timestamp } as const
      const job: StoredJob = { ...fresh, logs: [], id, name, json, opts, state: 'Waiting' }
      jobs.set(id, job)
      if ((opts.delay ?? 0) > 0) delay(job, timestamp + (opts.delay ?? 0))
      else enqueue(job, opts.lifo === true)
    },
    take(passed) {
      promote()
      const job = jobs.get(turns.next(passed) ?? '')
      if (job === undefined) return undefined
      job.state = 'Active'
      job.startedAt = now()
      job.attemptsStarted += 1
      return job
    },
    complete(job, result) {
      job.attemptsMade += 1
      job.result = result
      finish(job, 'Completed')
    },
    fail(job, error) {
      job.error = error.message
      job.attemptsMade += 1
      const again = error.name !== 'UnrecoverableError' && job.attemptsMade < (job.opts.attempts ?? 1)
      const wait = again ? backoffOf(job) : -1
      if (wait < 0) finish(job, 'Failed')
      else if (wait > 0) delay(job, now() + wait)
      else enqueue(job, job.opts.lifo === true)
      return wait < 0
    },
    move(job, move) {
      switch (move.kind) {
        case 'Delayed':
          return delay(job, move.until)
        case 'Waiting':
          return enqueue(job, true)
        default:
          return move satisfies never
      }
    },
    keep(job) {
      const kept = job.state === 'Completed' ? job.opts.removeOnComplete : job.opts.removeOnFail
      const { age, count } = limitsOf(kept)
      const finished = [...jobs.values()].filter(({ state }) => state === job.state)
      finished.sort((a, b) => (b.finishedAt ?? 0) - (a.finishedAt ?? 0))
      // Of those that ended in one millisecond, the latest is this one.
      const others = [job, ...finished.filter((each) => each !== job)]
      for (const [place, { id, finishedAt = 0 }] of others.entries()) {
        if (place >= count || (finishedAt <= now() - age * 1_000 && place > 0)) jobs.delete(id)
      }
    },
    remove(id) {
      turns.leave(id)
      jobs.delete(id)
    },
    nextDue() {
      const times = delayed().flatMap(({ dueAt = 0 }) => (dueAt > now() ? [dueAt] : []))
      return times.length === 0 ? undefined : Math.min(...times)
    },
  }
}

/** Milliseconds before the next attempt. */
function backoffOf({ opts, attemptsMade }: StoredJob): number {
  const { backoff } = opts
  if (backoff === undefined) return 0
  const { type, delay = 0 } = typeof backoff === 'number' ? { type: 'fixed', delay: backoff } : backoff
  return type === 'exponential' ? Math.round(2 ** (attemptsMade - 1) * delay) : delay
}

function limitsOf(kept: JobsOptions['removeOnComplete']): { readonly age: number; readonly count: number } {
  const [age, count] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  if (kept === undefined || kept === false) return { age, count }
  if (kept === true) return { age, count: 0 }
  if (typeof kept === 'number') return { age, count: kept }
  return { age: 'age' in kept ? (kept.age ?? age) : age, count: kept.count ?? count }
}

/** A job as `status` shows it. */
export function jobStatusOf(job: StoredJob): JobStatus {
  const { id, name, state, attemptsStarted, opts, progress, result, error, addedAt, dueAt, startedAt, finishedAt } = job
  const own = memberOf(opts, 'sp')
  const entry = memberOf(own, 'id')
  return {
    ...{ id, name, state },
    attempts: attemptsStarted,
    maxAttempts: opts.attempts ?? 1,
    ...(progress === 0 ? {} : { progress }),
    ...(state === 'Completed' && result !== undefined ? { result } : {}),
    ...(error === undefined || state === 'Completed' ? {} : { error }),
    addedAt,
    ...(dueAt === undefined ? {} : { dueAt }),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(typeof entry === 'string' && isEntryId(entry) ? { entry } : {}),
    redrives: Number(memberOf(own, 'redrives') ?? 0),
  }
}
