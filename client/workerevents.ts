/** Events of jobs for the worker's application. A listener that fails does not disturb the worker. */
import type { Worker as BullWorker } from 'bullmq'
import { failure, type StreamPipelineError } from '../api/errors.ts'
import type { Skipped } from './execution.ts'
import type { WorkerJob } from './job.ts'

export interface WorkerEvents<Payload, Result> {
  /** A run of this worker has completed the job. The result is `{ skipped: 'Terminal' }` if `isTerminal` returned true. */
  completed: (job: WorkerJob<Payload>, result: Result | Skipped) => unknown
  /** An attempt of this worker has failed. The job is undefined if BullMQ has removed it already. */
  failed: (job: WorkerJob<Payload> | undefined, error: Error) => unknown
  /** The worker of this job is gone. This worker noticed that and put the job back into the queue. */
  stalled: (jobId: string) => unknown
}

interface WorkerListeners<Payload, Result> {
  /** Throws InvalidOption for an event of another name. Returns a function that ends it. */
  on<Name extends keyof WorkerEvents<Payload, Result>>(event: Name, listener: WorkerEvents<Payload, Result>[Name]): () => void
  /** Passes the events of BullMQ's worker to the listeners. */
  hear(bull: BullWorker<Payload, Result | Skipped>): void
}

type AnyListener = (...args: never[]) => unknown

export function createListeners<Payload, Result>(
  onError: (error: StreamPipelineError) => void,
): WorkerListeners<Payload, Result> {
  const listeners = { completed: new Set<AnyListener>(), failed: new Set<AnyListener>(), stalled: new Set<AnyListener>() }

  const call = async (event: keyof typeof listeners, listener: AnyListener, args: readonly unknown[]) => {
    try {
      await listener(...(args as never[]))
    } catch (thrown) {
      const detail = thrown instanceof Error ? thrown.message : String(thrown)
      onError(failure('ListenerFailed', { event, detail }, thrown))
    }
  }
  const spread = (event: keyof typeof listeners, ...args: readonly unknown[]) => {
    for (const listener of [...listeners[event]]) void call(event, listener, args)
  }

  return {
    on(event, listener) {
      const known = Object.hasOwn(listeners, event) ? listeners[event] : undefined
      if (known === undefined) {
        const detail = `${Object.keys(listeners).join(', ')} are the events, not ${String(event)}`
        throw failure('InvalidOption', { option: 'on', detail })
      }
      // Each call has its own, so that a function given twice hears twice.
      const own: AnyListener = (...args) => Reflect.apply(listener, undefined, args)
      known.add(own)
      return () => void known.delete(own)
    },
    hear(bull) {
      bull.on('completed', (job, result) => spread('completed', job, result))
      bull.on('failed', (job, error) => spread('failed', job, error))
      bull.on('stalled', (jobId) => spread('stalled', jobId))
    },
  }
}
