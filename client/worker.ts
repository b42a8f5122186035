/**
 * The worker wrapper: BullMQ's Worker, with an execution lock by idempotency key, a recheck of terminal state before each run,
 * and upstream metrics. BullMQ runs a job at least once; with these, work whose handler records its result runs effectively once.
 */
import type { Registry } from 'prom-client'
import { failure } from '../api/errors.ts'
import type { RedisConnection } from '../redis/connect/connection.ts'
import { executionLock } from '../redis/keys.ts'
import { leaveWorker, type OpenWorker, openWorker } from './bullworker.ts'
import { createProcessor } from './execution.ts'
import { createWorkerMetrics } from './metrics.ts'
import { createListeners, type WorkerEvents } from './workerevents.ts'
import { compileWorker, type WorkerOptions } from './workeroptions.ts'

export interface Worker<Payload extends object = object, Result = unknown> {
  /** Has `job_executions_total`, `upstream_requests_total`, `upstream_failures_total` and `upstream_duration_seconds`. */
  readonly registry: Registry
  /** Runs `call` and counts it as one request to the upstream service `name`. */
  upstream<T>(name: string, call: () => Promise<T> | T): Promise<T>
  /**
   * Calls `listener` for each event of that name, and returns a function that removes it. It may be called before and after `start`. If the
   * listener throws or rejects, `onError` receives ListenerFailed. Throws InvalidOption for an event of another name.
   */
  on<Name extends keyof WorkerEvents<Payload, Result>>(event: Name, listener: WorkerEvents<Payload, Result>[Name]): () => void
  /** Connects and begins to take jobs. Idempotent. Throws errors of Redis, such as RedisUnreachable; call it again after that. */
  start(): Promise<void>
  /** Takes no more jobs, waits for running ones, then disconnects. Idempotent, final. It never waits for an unreachable Redis. */
  close(): Promise<void>
}

/** Creates a worker. `start` starts it. Throws InvalidOption. */
export function createWorker<Payload extends object, Result = unknown>(
  options: WorkerOptions<Payload, Result>,
): Worker<Payload, Result> {
  const compiled = compileWorker(options)
  const { queue, prefix, onError } = compiled
  const metrics = createWorkerMetrics({ queue, pipeline: options.pipeline, namespace: options.namespace }, options.registry)
  const listeners = createListeners<Payload, Result>(onError)
  const closing = new AbortController()
  const running = createRunning()
  let started: Promise<OpenWorker> | undefined
  let closed: Promise<void> | undefined

  const processorOn = (redis: RedisConnection) =>
    createProcessor<Payload, Result>(
      {
        ...compiled,
        execute: running.tracked(compiled.execute),
        isTerminal: compiled.isTerminal && running.tracked(compiled.isTerminal),
        lockKey: (key) => executionLock(prefix, queue, key),
      },
      { redis, metrics, closing: closing.signal, onError },
    )

  async function end(): Promise<void> {
    closing.abort()
    // The caller of start() received the failure, and nothing is left to end.
    const current = await started?.catch(() => undefined)
    if (current !== undefined) await leaveWorker(current, running.all)
  }

  return {
    registry: metrics.registry,
    upstream: metrics.upstream,
    on: listeners.on,
    async start() {
      if (closed !== undefined) throw failure('Closed', { what: 'worker' })
      started ??= openWorker({ options: compiled, processorOn, hear: listeners.hear, closing: closing.signal })
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

/** Functions of the application that run now. */
function createRunning() {
  const all = new Set<Promise<unknown>>()
  return {
    all: all as ReadonlySet<Promise<unknown>>,
    tracked:
      <Args extends unknown[], Returned>(call: (...args: Args) => Promise<Returned> | Returned) =>
      async (...args: Args): Promise<Returned> => {
        const run = (async () => await call(...args))()
        all.add(run)
        return await run.finally(() => all.delete(run))
      },
  }
}
