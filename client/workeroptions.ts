/** An application's options for a worker, as it gives them, and defaulted and checked. */
import type { WorkerOptions as BullOptions } from 'bullmq'
import type { Registry } from 'prom-client'
import { failure, type StreamPipelineError } from '../api/errors.ts'
import type { ExecutionContext } from './execution.ts'
import { type Handler, type Handlers, handlerOf } from './handlers.ts'
import type { WorkerJob } from './job.ts'
import type { RedisInput } from './lent.ts'
import { type RedisSource, redisSource } from './redis.ts'
import type { StandardSchema } from './standardschema.ts'
import { warn } from './warn.ts'

export interface WorkerOptions<Payload extends object, Result> {
  /** The BullMQ queue: `spec.sink.bullmq.queue`. */
  readonly queue: string
  /** Name of the StreamPipeline, a label of the metrics. Default: the queue's name. */
  readonly pipeline?: string
  /** Namespace of the StreamPipeline, a label of the metrics. Default: none; Prometheus adds the namespace of the pod that it scrapes. */
  readonly namespace?: string
  /** The queue's key prefix: `spec.sink.bullmq.prefix`. Default `bull`. */
  readonly prefix?: string
  /** The queue's Redis. The worker duplicates a given connection, without its time limits. It never closes the given one. */
  readonly redis: RedisInput
  /** Types the payload. The worker does not check it again: the dispatcher and the consumer have checked it. */
  readonly schema?: StandardSchema<Payload>
  /**
   * The handler of jobs. Its result is the job's return value. If it throws, the attempt fails. It must stop when `context.signal` aborts:
   * another worker may then run the same work. An object has a handler for each name of a job; `*` takes every other name.
   */
  readonly execute: Handler<Payload, Result> | Handlers<Payload, Result>
  /** Returns true if your own records show that the work is done. The job then completes without a run. Default: never. */
  readonly isTerminal?: (payload: Payload, context: ExecutionContext<Payload>) => Promise<boolean> | boolean
  /** The key under which the worker locks a job's execution. Default: the job's id, which StreamPipeline derives from the payload's key. */
  readonly key?: (job: WorkerJob<Payload>) => string
  /** Life of the execution lock, in milliseconds. The worker renews it after a third of that. Default 30,000; at least 300. */
  readonly lockTtlMs?: number
  /** Delay of a job, in milliseconds, while another worker executes its key. Default 5,000. */
  readonly postponeMs?: number
  /** Number of jobs that run at a time. Default 1. */
  readonly concurrency?: number
  /** Registry for the metrics. Default: a registry of its own, `worker.registry`. */
  readonly registry?: Registry
  /** Receives errors outside jobs: Redis unreachable, a lock not released, a failed listener. Default: `process.emitWarning`. */
  readonly onError?: (error: StreamPipelineError) => void
  /** Further options of BullMQ's Worker, such as limiter and stalledInterval. `runRetryDelay` defaults to 1,000 ms here. */
  readonly bullmq?: Omit<Partial<BullOptions>, 'connection' | 'prefix' | 'concurrency' | 'autorun'>
}

export interface CompiledWorker<Payload extends object, Result> {
  readonly queue: string
  readonly prefix: string
  readonly concurrency: number
  readonly source: RedisSource
  readonly execute: Handler<Payload, Result>
  readonly isTerminal: WorkerOptions<Payload, Result>['isTerminal']
  readonly key: (job: WorkerJob<Payload>) => string
  readonly lockTtlMs: number
  readonly postponeMs: number
  readonly onError: (error: StreamPipelineError) => void
  readonly bullmq: WorkerOptions<Payload, Result>['bullmq']
}

/** Replaces BullMQ's pause of 15 s after a connection was lost in a command: its close() would wait until that pause is over. */
const runRetryDelay = 1_000

/** Throws InvalidOption, naming the option. */
export function compileWorker<Payload extends object, Result>(
  options: WorkerOptions<Payload, Result>,
): CompiledWorker<Payload, Result> {
  const { queue, prefix = 'bull', lockTtlMs = 30_000, postponeMs = 5_000, concurrency = 1, onError = warn } = options
  if (queue === '' || queue.includes(':')) throw failure('InvalidOption', { option: 'queue', detail: 'a name without a colon' })
  atLeast('lockTtlMs', lockTtlMs, 300)
  atLeast('postponeMs', postponeMs, 0)
  atLeast('concurrency', concurrency, 1)
  return Object.freeze({
    ...{ queue, prefix, lockTtlMs, postponeMs, concurrency, onError },
    execute: handlerOf(options.execute),
    isTerminal: options.isTerminal,
    key: options.key ?? ((job: WorkerJob<Payload>) => job.id ?? job.name),
    source: redisSource(options.redis, 'redis'),
    bullmq: { runRetryDelay, ...options.bullmq },
  })
}

function atLeast(option: string, value: number, least: number): void {
  if (!(value >= least)) throw failure('InvalidOption', { option, detail: `a number of at least ${least}, not ${value}` })
}
