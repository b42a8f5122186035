/** The worker of a test pipeline: it runs handlers on jobs in memory, with the outcomes that BullMQ has for what they return or throw. */
import { EventEmitter } from 'node:events'
import type { Worker as BullWorker } from 'bullmq'
import type { Registry } from 'prom-client'
import type { StreamPipelineError } from '../../api/errors.ts'
import { metadataOf } from '../../redis/bullmq/item.ts'
import type { ExecutionContext, Skipped } from '../execution.ts'
import { type Handler, type Handlers, handlerOf } from '../handlers.ts'
import type { WorkerJob } from '../job.ts'
import { createWorkerMetrics, type ExecutionOutcome } from '../metrics.ts'
import { isMove } from '../moves.ts'
import { warn } from '../warn.ts'
import type { Worker } from '../worker.ts'
import { createListeners } from '../workerevents.ts'
import { asStored, type TestJob, testJob } from './job.ts'
import type { StoredJob, TestQueue } from './queue.ts'

export interface TestWorkerOptions<Payload> {
  /** True when this work is finished already, by your own records: the job then completes without a run. Default: never. */
  readonly isTerminal?: (payload: Payload, context: ExecutionContext<Payload>) => Promise<boolean> | boolean
  /** The key under which the worker locks a job's execution. Default: the job's id. */
  readonly key?: (job: WorkerJob<Payload>) => string
  /** Where metrics are registered. Default: a registry of its own. */
  readonly registry?: Registry
  /** Receives ListenerFailed. Default: `process.emitWarning`. */
  readonly onError?: (error: StreamPipelineError) => void
}

export interface TestWorker<Payload extends object, Result> extends Omit<Worker<Payload, Result>, 'start'> {
  /** Whether it still takes jobs. */
  readonly isOpen: boolean
  /** Runs one attempt of a job. */
  run(job: StoredJob): Promise<void>
}

/** The outcome of an attempt. */
interface Ended {
  readonly outcome: ExecutionOutcome
  /** Moves the job on in the queue, and reports it to the listeners. */
  readonly end: () => void
}

/**
 * @param place names of the queue
 * @param ended called when a job has completed or was given up, before it makes way for others
 */
export function createTestWorker<Payload extends object, Result>(
  execute: Handler<Payload, Result> | Handlers<Payload, Result>,
  options: TestWorkerOptions<Payload>,
  place: { readonly queue: string; readonly prefix: string; readonly queueOf: () => TestQueue },
  ended: (job: StoredJob) => void,
): TestWorker<Payload, Result> {
  const handler = handlerOf(execute)
  const { key = (job: WorkerJob<Payload>) => job.id ?? job.name, isTerminal, onError = warn } = options
  const metrics = createWorkerMetrics({ queue: place.queue }, options.registry)
  const listeners = createListeners<Payload, Result>(onError)
  // Listeners hear BullMQ's worker, which is an emitter of these events.
  const events = new EventEmitter()
  listeners.hear(events as unknown as BullWorker<Payload, Result | Skipped>)
  let isOpen = true
  let running: Promise<void> = Promise.resolve()

  async function attempt(job: StoredJob, seen: TestJob<Payload>): Promise<Ended> {
    const queue = place.queueOf()
    const failed = (thrown: unknown): Ended => {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      const end = () => {
        if (queue.fail(job, error)) ended(job)
        events.emit('failed', seen, error)
      }
      return { outcome: 'failed', end }
    }
    try {
      const context: ExecutionContext<Payload> = {
        ...{ job: seen, key: key(seen), metadata: metadataOf(job.opts), signal: new AbortController().signal },
        upstream: metrics.upstream,
      }
      const isEnded = (await isTerminal?.(seen.data, context)) === true
      const result: Result | Skipped = isEnded ? { skipped: 'Terminal' } : await handler(seen.data, context)
      // Redis keeps JSON; what has no form in it fails the job.
      const stored = asStored(result ?? null)
      const end = () => {
        queue.complete(job, stored)
        ended(job)
        events.emit('completed', seen, result)
      }
      return { outcome: isEnded ? 'skipped' : 'completed', end }
    } catch (thrown) {
      if (!isMove(thrown)) return failed(thrown)
      return { outcome: 'moved', end: () => moveOn(queue, job, seen) }
    } finally {
      job.progress = seen.progress
      job.logs.push(...seen.logs)
    }
  }

  async function run(job: StoredJob): Promise<void> {
    const { id, name, json, opts, attemptsMade, attemptsStarted, addedAt } = job
    const names = { queueName: place.queue, prefix: place.prefix }
    const data = JSON.parse(json) as Payload
    const seen = testJob({ ...names, data, id, name, opts, attemptsMade, attemptsStarted, timestamp: addedAt })
    const { outcome, end } = await attempt(job, seen)
    metrics.executed(outcome)
    end()
  }

  return {
    registry: metrics.registry,
    upstream: metrics.upstream,
    on: listeners.on,
    get isOpen() {
      return isOpen
    },
    async run(job) {
      running = run(job)
      await running
    },
    async close() {
      isOpen = false
      await running
    },
  }
}

/** A handler may throw the error of a move without the move, or hit the rate limit. Its job then runs first in the next `drain`. */
function moveOn(queue: TestQueue, job: StoredJob, { moved }: TestJob<unknown>): void {
  queue.move(job, moved ?? { kind: 'Waiting' })
}
