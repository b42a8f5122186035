/**
 * The worker wrapper: BullMQ's Worker, with an execution lock by idempotency key, a recheck of terminal state before each run,
 * and upstream metrics. BullMQ runs a job at least once; with these, work whose handler records its result runs effectively once.
 */
import { once } from 'node:events'
import { type WorkerOptions as BullOptions, Worker as BullWorker, type Job } from 'bullmq'
import type { Registry } from 'prom-client'
import { failure, type StreamPipelineError } from '../api/errors.ts'
import { pause } from '../process/pause.ts'
import { close as closeConnection, failureOn, open, type RedisConnection } from '../redis/connect/connection.ts'
import { executionLock } from '../redis/keys.ts'
import { createProcessor, type ExecutionContext, type Skipped } from './execution.ts'
import { type Handler, type Handlers, handlerOf } from './handlers.ts'
import { checkPrimary, type RedisInput } from './lent.ts'
import { createWorkerMetrics } from './metrics.ts'
import { redisSource, workerConnection } from './redis.ts'
import type { StandardSchema } from './standardschema.ts'
import { warn } from './warn.ts'

export interface WorkerOptions<Payload extends object, Result> {
  /** The BullMQ queue: `spec.sink.bullmq.queue`. */
  readonly queue: string
  /** The queue's key prefix: `spec.sink.bullmq.prefix`. Default `bull`. */
  readonly prefix?: string
  /** Where the queue lives. A connection that is passed in is duplicated without its limits of time, and never closed. */
  readonly redis: RedisInput
  /** Types the payload. It is not checked again: the dispatcher and the consumer have checked it. */
  readonly schema?: StandardSchema<Payload>
  /**
   * Does the work. Its result is the job's return value; an error fails the attempt. It must stop when
   * `context.signal` aborts: another worker may be running the same work by then. An object has a handler for each name of a job; `*` takes
   * every other name.
   */
  readonly execute: Handler<Payload, Result> | Handlers<Payload, Result>
  /** True when this work is finished already, by your own records: the job then completes without a run. Default: never. */
  readonly isTerminal?: (payload: Payload, context: ExecutionContext<Payload>) => Promise<boolean> | boolean
  /** The idempotency key of a job. Default: its id, which StreamPipeline derives from the payload's key. */
  readonly key?: (job: Job<Payload>) => string
  /** Life of the execution lock without renewal, in milliseconds; renewed at a third of it. Default 30,000; at least 300. */
  readonly lockTtlMs?: number
  /** How long a job waits before it is tried again when its key is being executed elsewhere, in milliseconds. Default 5,000. */
  readonly postponeMs?: number
  /** Jobs at a time. Default 1. */
  readonly concurrency?: number
  /** Where metrics are registered. Default: a registry of its own, `worker.registry`. */
  readonly registry?: Registry
  /** Receives errors outside any job: Redis away, a lock not released. Default: `process.emitWarning`. */
  readonly onError?: (error: StreamPipelineError) => void
  /** Further options of BullMQ's Worker: limiter, stalledInterval, metrics… `runRetryDelay` is 1,000 ms here by default. */
  readonly bullmq?: Omit<Partial<BullOptions>, 'connection' | 'prefix' | 'concurrency' | 'autorun'>
}

export interface Worker {
  /** `job_executions_total`, `upstream_requests_total`, `upstream_failures_total`, `upstream_duration_seconds`. */
  readonly registry: Registry
  /** Runs `call` and counts it as one request to the upstream service `name`. */
  upstream<T>(name: string, call: () => Promise<T> | T): Promise<T>
  /** Connects and begins to take jobs. Idempotent. Throws RedisUnreachable, RedisAuthFailed…; may be called again after that. */
  start(): Promise<void>
  /** Takes no more jobs, waits for those running, disconnects. Idempotent, final. Never waits for a Redis that is away. */
  close(): Promise<void>
}

/** How long BullMQ may take to leave Redis after the last job has ended. */
const farewellMs = 3_000

/** BullMQ's own pause after a command that a lost connection failed, 15 s, is one that its close() waits out. */
const runRetryDelay = 1_000

interface Started {
  readonly bull: BullWorker
  readonly connection: RedisConnection
}

async function cutOff(bull: BullWorker | undefined, connection: RedisConnection): Promise<void> {
  const ended = closeConnection(connection)
  const blocking = await bull?.getBackend().blockingClient
  // Its own name for the duplicate it made of ours.
  if (blocking !== undefined) await closeConnection(blocking as unknown as RedisConnection)
  await ended
}

/** Each command reports it by itself. */
function ignoreConnectionError() {}

function atLeast(option: string, value: number, least: number): void {
  if (!(value >= least)) throw failure('InvalidOption', { option, detail: `a number of at least ${least}, not ${value}` })
}

/** Makes a worker; `start` starts it. Throws InvalidOption. */
export function createWorker<Payload extends object, Result = unknown>(options: WorkerOptions<Payload, Result>): Worker {
  const { queue, prefix = 'bull', lockTtlMs = 30_000, postponeMs = 5_000, concurrency = 1, onError = warn } = options
  if (queue === '' || queue.includes(':')) throw failure('InvalidOption', { option: 'queue', detail: 'a name without a colon' })
  atLeast('lockTtlMs', lockTtlMs, 300)
  atLeast('postponeMs', postponeMs, 0)
  atLeast('concurrency', concurrency, 1)
  const execute = handlerOf(options.execute)
  const source = redisSource(options.redis, 'redis')
  const metrics = createWorkerMetrics(queue, options.registry)
  const closing = new AbortController()
  /** Running functions of the application. Redis commands around them may take as long as Redis is away. */
  const running = new Set<Promise<unknown>>()
  let started: Promise<Started> | undefined
  let closed: Promise<void> | undefined

  const tracked =
    <Args extends unknown[], Returned>(call: (...args: Args) => Promise<Returned> | Returned) =>
    async (...args: Args): Promise<Returned> => {
      const run = (async () => await call(...args))()
      running.add(run)
      return await run.finally(() => running.delete(run))
    }

  async function begin(): Promise<Started> {
    const connection = await workerConnection(source)
    // One that was lent may be a plain ioredis one: without a listener it prints what its commands report.
    connection.on('error', ignoreConnectionError)
    let bull: BullWorker | undefined
    try {
      await open(connection, closing.signal)
      await checkPrimary(connection, 'redis')
      bull = makeBull(connection)
      // BullMQ waits for its blocking connection, however long that takes; closing does not.
      if (!closing.signal.aborted) await Promise.race([bull.waitUntilReady(), once(closing.signal, 'abort')])
    } catch (thrown) {
      const farewell = bull?.close(true)
      await Promise.allSettled([farewell, cutOff(bull, connection)])
      throw failureOn(connection, thrown)
    }
    const report = reporter(connection)
    if (!closing.signal.aborted) bull.run().catch(report)
    return { bull, connection }
  }

  const reporter = (connection: RedisConnection) => (thrown: unknown) => onError(failureOn(connection, thrown))

  function makeBull(connection: RedisConnection): BullWorker {
    const process = createProcessor<Payload, Result>(
      {
        execute: tracked(execute),
        isTerminal: options.isTerminal && tracked(options.isTerminal),
        key: options.key ?? ((job) => job.id ?? job.name),
        lockKey: (key) => executionLock(prefix, queue, key),
        lockTtlMs,
        postponeMs,
      },
      { redis: connection, metrics, closing: closing.signal, onError },
    )
    try {
      const bull = new BullWorker<Payload, Result | Skipped>(
        queue,
        // BullMQ hands the signal of a cancelled job only to a function that declares three parameters.
        async (job, token, cancelled) => await process(job, token, cancelled),
        { runRetryDelay, ...options.bullmq, connection, prefix, concurrency, autorun: false },
      )
      bull.on('error', reporter(connection))
      return bull
    } catch (thrown) {
      const detail = `BullMQ refuses it: ${thrown instanceof Error ? thrown.message : String(thrown)}`
      throw failure('InvalidOption', { option: 'bullmq', detail }, thrown)
    }
  }

  async function end(): Promise<void> {
    closing.abort()
    // The caller of start() received the failure, and nothing is left to end.
    const current = await started?.catch(() => undefined)
    if (current === undefined) return
    const { bull, connection } = current
    const inTime = new AbortController()
    const farewell = bull.close().finally(() => inTime.abort())
    const overdue = (async () => {
      do {
        await Promise.allSettled(running)
        await pause(farewellMs, inTime.signal)
        // One more may have begun whose lock was asked for before.
      } while (running.size > 0 && !inTime.signal.aborted)
    })()
    await Promise.race([farewell, overdue])
    if (!inTime.signal.aborted) {
      // BullMQ still waits for an answer of Redis, on either connection.
      await Promise.all([cutOff(bull, connection), farewell])
    }
    await closeConnection(connection)
  }

  return {
    registry: metrics.registry,
    upstream: metrics.upstream,
    async start() {
      if (closed !== undefined) throw failure('Closed', { what: 'worker' })
      started ??= begin()
      try {
        await started
      } catch (thrown) {
        started = undefined
        throw thrown
      }
    },
    close() {
      closed ??= end()
      return closed
    },
  }
}
