/** A test pipeline as an application's tests see it. */
import type { JobsOptions } from 'bullmq'
import type { StreamPipelineError } from '../../api/errors.ts'
import type { DispatchConfig, DispatchMode } from '../../redis/dispatchconfig.ts'
import type { JobStatus } from '../../redis/status/jobstate.ts'
import type { Dispatcher } from '../dispatcher.ts'
import type { Handler, Handlers } from '../handlers.ts'
import type { StandardSchema } from '../standardschema.ts'
import type { Worker } from '../worker.ts'
import type { TestReplay } from './backend.ts'
import type { TestDeadLetter } from './deadletters.ts'
import type { TestWorkerOptions } from './worker.ts'

export interface TestPipelineOptions {
  /** Which pipeline of the file, where it has several. */
  readonly name?: string
  /** Milliseconds since 1970. Default: `Date.now` at each call, so that fake timers rule it. */
  readonly clock?: () => number
  /** Default: the resource's. The environment is not read. */
  readonly mode?: DispatchMode
  /** The application's schema, as `createDispatcher` takes it. */
  readonly schema?: StandardSchema
  /** Whether failed jobs become dead letters, for a dispatch configuration, which does not state that. Default `Capture`. */
  readonly failedJobs?: 'Capture' | 'Leave'
  /** Receives SchemaDiffers and ListenerFailed. Default: `process.emitWarning`. */
  readonly onError?: (error: StreamPipelineError) => void
}

/** A job that the queue holds. */
export interface TestedJob<Payload> extends Omit<JobStatus, 'redrives'> {
  readonly data: Payload
  /** BullMQ's options, as the job has them. */
  readonly options: JobsOptions
  /** Attempts that have ended. */
  readonly attemptsMade: number
  /** Lines that its handler logged. */
  readonly logs: readonly string[]
}

/** The outcome of one `drain`. */
export interface Drained {
  /** Entries that became jobs. Jobs of direct dispatches were there before. */
  readonly forwarded: number
  readonly duplicates: number
  /** Entries that became dead letters. */
  readonly deadLetters: number
  /** Attempts that ran. */
  readonly executed: number
}

export interface TestPipeline<Payload extends object> {
  readonly config: DispatchConfig
  /** The interface of `createDispatcher`. `waitFor` begins with what is due, as `drain` does. */
  readonly dispatcher: Dispatcher<Payload>
  /** From now on these handlers run the jobs, in place of earlier ones. */
  worker<Result>(
    execute: Handler<Payload, Result> | Handlers<Payload, Result>,
    options?: TestWorkerOptions<Payload>,
  ): Omit<Worker<Payload, Result>, 'start'>
  /** Adds an entry as another program does, field by field; returns its id. */
  add(fields: Readonly<Record<string, string>>): string
  /**
   * Forwards every entry, then runs jobs until none is due. A handler's error fails its attempt, and shows in the job. Jobs that their
   * handlers put back wait for the next call.
   */
  drain(): Promise<Drained>
  /** Moves the pipeline's time on. Timers that come due on the way fire at their time. Throws InvalidOption. */
  advance(ms: number): Promise<void>
  /** Jobs that the queue holds, in the order in which they were added. */
  readonly jobs: readonly TestedJob<Payload>[]
  readonly deadLetters: readonly TestDeadLetter[]
  /** Puts the entry of a dead letter back into the stream, as `streampipeline dead replay` does. @param id of the dead letter */
  replay(id: string): TestReplay
  /** The pipeline's time, milliseconds since 1970. */
  readonly now: number
  /** Flips the mode, as `spec.mode` does for dispatchers that pin none. */
  setMode(mode: DispatchMode): void
  /** Forgets entries, keys, jobs and dead letters, and ends waits. Handlers stay. */
  reset(): void
}
