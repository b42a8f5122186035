/**
 * Jobs and contexts for handlers under test. A job records the calls of its handler, and refuses those that BullMQ refuses: a move with
 * another token than the attempt's.
 */
import type { JobProgress, JobsOptions } from 'bullmq'
import { failure } from '../../api/errors.ts'
import type { ExecutionContext } from '../execution.ts'
import type { WorkerJob } from '../job.ts'

/** Where a handler moved its job. It then throws BullMQ's error of that move. */
export type JobMove = { readonly kind: 'Delayed'; readonly until: number } | { readonly kind: 'Waiting' }

export interface TestJob<Payload> extends WorkerJob<Payload> {
  readonly id: string
  readonly token: string
  /** Lines that the handler logged. */
  readonly logs: readonly string[]
  /** Every progress that the handler reported, in order. */
  readonly reported: readonly JobProgress[]
  /** The last move. */
  readonly moved: JobMove | undefined
}

export interface TestJobInput<Payload> {
  readonly data: Payload
  /** Default `job`. */
  readonly name?: string
  /** Default `test-job`. */
  readonly id?: string
  /** Default: none. */
  readonly opts?: JobsOptions
  /** When it was added, milliseconds since 1970. Default now. */
  readonly timestamp?: number
  /** Attempts that have ended. Default 0. */
  readonly attemptsMade?: number
  /** Default `attemptsMade` + 1. */
  readonly attemptsStarted?: number
  /** Default `test-token`. */
  readonly token?: string
  /** Default `test`. */
  readonly queueName?: string
  /** Default `bull`. */
  readonly prefix?: string
  /** Results of its children, by key of the job. Default none. */
  readonly children?: Readonly<Record<string, unknown>>
}

/** A job for a handler, without Redis. */
export function testJob<Payload>(input: TestJobInput<Payload>): TestJob<Payload> {
  const { data, name = 'job', id = 'test-job', opts = {}, attemptsMade = 0, token = 'test-token', queueName = 'test' } = input
  const logs: string[] = []
  const reported: JobProgress[] = []
  let moved: JobMove | undefined
  const check = (given: string | undefined, command: string) => {
    if (given !== token) throw new Error(`Lock mismatch for job ${id}. Cmd ${command} from active`)
  }
  return {
    ...{ id, name, data, opts, attemptsMade, token, queueName },
    attemptsStarted: input.attemptsStarted ?? attemptsMade + 1,
    timestamp: input.timestamp ?? Date.now(),
    queueQualifiedName: `${input.prefix ?? 'bull'}:${queueName}`,
    get progress() {
      return reported.at(-1) ?? 0
    },
    get logs() {
      return logs
    },
    get reported() {
      return reported
    },
    get moved() {
      return moved
    },
    async updateProgress(progress) {
      reported.push(asStored(progress) as JobProgress)
    },
    async log(line) {
      return logs.push(line)
    },
    async moveToDelayed(timestamp, given) {
      check(given, 'moveToDelayed')
      moved = { kind: 'Delayed', until: timestamp }
    },
    async moveToWait(given) {
      check(given, 'moveToWait')
      moved = { kind: 'Waiting' }
      return 0
    },
    async moveToWaitingChildren(given) {
      check(given, 'moveToWaitingChildren')
      return false
    },
    async getChildrenValues<Value>() {
      return { ...input.children } as { [key: string]: Value }
    },
  }
}

/** A value as Redis gives it back. */
export function asStored(value: unknown): unknown {
  const text = JSON.stringify(value)
  return text === undefined ? undefined : JSON.parse(text)
}

export interface TestContextInput<Payload> extends Partial<Omit<ExecutionContext<Payload>, 'job'>> {
  readonly job: WorkerJob<Payload>
}

/** The second argument of a handler. Abort a signal of your own to test the loss of the execution lock. */
export function testContext<Payload>({ job, ...rest }: TestContextInput<Payload>): ExecutionContext<Payload> {
  const { key = job.id ?? job.name, signal = new AbortController().signal } = rest
  return {
    ...{ job, key, metadata: {}, signal },
    async upstream(_name, call) {
      if (signal.aborted) throw failure('ExecutionLockLost', { job: key })
      return await call()
    },
    ...rest,
  }
}
