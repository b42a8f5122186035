/**
 * The job as a handler sees it: the part of BullMQ's Job that belongs to a running attempt. BullMQ's Job fits it, and a test can make one
 * without Redis. A handler that needs more may use `instanceof Job`: the worker passes BullMQ's own object.
 */
import type { JobProgress, JobsOptions, MoveToWaitingChildrenOpts } from 'bullmq'

export interface WorkerJob<Payload> {
  /** Undefined only for a job that was never added. */
  readonly id?: string | undefined
  readonly name: string
  /** The payload. */
  readonly data: Payload
  readonly opts: JobsOptions
  /** When it was added, milliseconds since 1970. */
  readonly timestamp: number
  /** Attempts that have ended before this one. */
  readonly attemptsMade: number
  /** Attempts that have begun, this one included. */
  readonly attemptsStarted: number
  /** The last progress that `updateProgress` reported. */
  readonly progress: JobProgress
  /** Token of the attempt; the moves below take it. */
  readonly token?: string | undefined
  readonly queueName: string
  /** Prefix and name of the queue, as a child's `parent` takes it. */
  readonly queueQualifiedName: string
  updateProgress(progress: JobProgress): Promise<void>
  /** Adds a line to the job's log; returns how many there are. */
  log(line: string): Promise<number>
  /** Delays the job until `timestamp`, milliseconds since 1970. Throw BullMQ's DelayedError after the call. */
  moveToDelayed(timestamp: number, token?: string): Promise<void>
  /** Puts the job back among the waiting ones. Throw BullMQ's WaitingError after the call. */
  moveToWait(token?: string): Promise<number>
  /** Returns true if the job now waits for children. Throw BullMQ's WaitingChildrenError then. */
  moveToWaitingChildren(token: string, options?: MoveToWaitingChildrenOpts): Promise<boolean>
  /** Results of its children, by key of the job. */
  getChildrenValues<Value = unknown>(): Promise<{ [key: string]: Value }>
}
