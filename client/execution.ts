/**
 * One run of one job, from the moment BullMQ hands it over:
 *
 *     take the lock ── held elsewhere ──→ postponed: back to delayed, no attempt used
 *          │ ours
 *     terminal already? ── yes ──→ skipped: the job completes, the handler is not called
 *          │ no
 *     run the handler ── lock lost meanwhile ──→ its signal aborts; when it has ended, ExecutionLockLost
 *          │
 *     completed or failed, as the handler ends; the lock is released
 *
 * The state is read under the lock: an earlier holder has recorded its result by then. After a loss the run waits until the handler ends.
 * An earlier error would let BullMQ start the job again beside a handler that still runs.
 */
import { DelayedError } from 'bullmq'
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { pause } from '../process/pause.ts'
import { metadataOf } from '../redis/bullmq/item.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import type { WorkerJob } from './job.ts'
import { acquireLock, type ForeignLock, type HeldLock } from './lock.ts'
import type { ExecutionOutcome, WorkerMetrics } from './metrics.ts'
import { isMove } from './moves.ts'

/** A handler's second argument, beside its payload. */
export interface ExecutionContext<Payload> {
  /** BullMQ's job, with progress, log and attempts. */
  readonly job: WorkerJob<Payload>
  /** The entry's metadata fields (`payload.metadataFields`); may be empty. */
  readonly metadata: Readonly<Record<string, string>>
  /** The worker locks the execution under this key. Default: the job's id. The worker's option `key` may derive another. */
  readonly key: string
  /** Aborts when the lock is lost (reason: ExecutionLockLost) or the job is cancelled. Pass it to every long call. */
  readonly signal: AbortSignal
  /**
   * Runs `call` and counts it as one request to the upstream service `name`. `name` is a label of metrics, so name services, not
   * requests. Once the lock is lost, it throws ExecutionLockLost and does not run `call`. That holds even if the process was frozen and its
   * signal has not aborted yet.
   */
  upstream<T>(name: string, call: () => Promise<T> | T): Promise<T>
}

interface ExecutionRules<Payload, Result> {
  readonly execute: (payload: Payload, context: ExecutionContext<Payload>) => Promise<Result> | Result
  readonly isTerminal: ((payload: Payload, context: ExecutionContext<Payload>) => Promise<boolean> | boolean) | undefined
  readonly key: (job: WorkerJob<Payload>) => string
  readonly lockKey: (key: string) => string
  readonly lockTtlMs: number
  readonly postponeMs: number
}

interface ExecutionSurroundings {
  readonly redis: RedisConnection
  readonly metrics: WorkerMetrics
  /** Aborted when the worker closes: nothing that has not begun begins any more. */
  readonly closing: AbortSignal
  readonly onError: (error: StreamPipelineError) => void
}

/** The return value of a job that was skipped because its work was in a terminal state already. */
export interface Skipped {
  readonly skipped: 'Terminal'
}

/** What BullMQ calls for each job. */
export type Processor<Payload, Result> = (
  job: WorkerJob<Payload>,
  token: string | undefined,
  cancelled: AbortSignal | undefined,
) => Promise<Result | Skipped>

/** The function that BullMQ calls for each job. */
export function createProcessor<Payload, Result>(
  rules: ExecutionRules<Payload, Result>,
  surroundings: ExecutionSurroundings,
): Processor<Payload, Result> {
  const { metrics, onError } = surroundings

  return async (job, token, cancelled) => {
    const key = rules.key(job)
    const lost = new AbortController()
    const signal = cancelled === undefined ? lost.signal : AbortSignal.any([lost.signal, cancelled])
    const lock = await takeLock(rules.lockKey(key), rules.lockTtlMs, surroundings, () =>
      lost.abort(failure('ExecutionLockLost', { job: key })),
    )
    if (lock.kind === 'Foreign') {
      // If the other one has died, its lock ends by then at the latest.
      return await postpone(job, token, Math.min(rules.postponeMs, lock.remainingMs + 1), metrics)
    }

    const checkLock = () => {
      lock.check()
      lost.signal.throwIfAborted()
    }
    const context: ExecutionContext<Payload> = {
      ...{ job, metadata: metadataOf(job.opts), key, signal },
      async upstream(name, call) {
        checkLock()
        return await metrics.upstream(name, call)
      },
    }
    let outcome: ExecutionOutcome = 'failed'
    try {
      if ((await rules.isTerminal?.(job.data, context)) === true) {
        outcome = 'skipped'
        return { skipped: 'Terminal' }
      }
      checkLock()
      const result = await rules.execute(job.data, context)
      checkLock()
      outcome = 'completed'
      return result
    } catch (thrown) {
      // Also after a loss: the job has been moved, and is no longer ours to fail.
      if (isMove(thrown)) {
        outcome = 'moved'
        throw thrown
      }
      if (!lost.signal.aborted) throw thrown
      outcome = 'lock_lost'
      throw failure('ExecutionLockLost', { job: key }, thrown === lost.signal.reason ? undefined : thrown)
    } finally {
      metrics.executed(outcome)
      // A lock that cannot be released now expires by itself; the run's result stands either way.
      await lock.release().catch((thrown: unknown) => onError(asFailure(thrown)))
    }
  }
}

const retryPauseMs = 1_000

/** A Redis that is away or out of memory says nothing about the job: ask again instead of using up an attempt. */
async function takeLock(
  lockKey: string,
  ttlMs: number,
  { redis, closing, onError }: ExecutionSurroundings,
  onLost: () => void,
): Promise<HeldLock | ForeignLock> {
  for (;;) {
    try {
      return await acquireLock(redis, lockKey, ttlMs, onLost)
    } catch (thrown) {
      const error = asFailure(thrown)
      if (!error.retryable || closing.aborted) throw error
      onError(error)
      await pause(retryPauseMs, closing)
    }
  }
}

async function postpone(
  job: WorkerJob<unknown>,
  token: string | undefined,
  delayMs: number,
  metrics: WorkerMetrics,
): Promise<never> {
  await job.moveToDelayed(Date.now() + delayMs, token)
  metrics.executed('postponed')
  // This error informs BullMQ that the job has already moved. It uses up no attempt.
  throw new DelayedError(`${job.id ?? job.name} is being executed elsewhere`)
}
