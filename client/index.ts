/**
 * `streampipeline`: what an application imports. `createDispatcher` hands work over, `createWorker` runs it. Importing does no
 * work: no connection, no timer, nothing read from the environment.
 */
export {
  type ErrorCode,
  StreamPipelineError,
} from '../api/errors.ts'
export { loadPipelines } from '../api/load.ts'
export { type DispatchConfig, type DispatchMode, parseDispatchConfig } from '../redis/dispatchconfig.ts'
export type { Kept, RequestOptions } from '../redis/payload/request.ts'
export type { DeadStatus, EntryStatus } from '../redis/status/entrystate.ts'
export type { JobState, JobStatus } from '../redis/status/jobstate.ts'
export type { RequestEvent, RequestState, RequestStatus } from '../redis/status/request.ts'
export type { CancelOutcome } from './cancel.ts'
export {
  createDispatcher,
  type Dispatcher,
  type DispatchResult,
} from './dispatcher.ts'
export type { ExecutionContext, Skipped } from './execution.ts'
export type { Handler, Handlers } from './handlers.ts'
export type { RedisInput } from './lent.ts'
export type { ExecutionOutcome } from './metrics.ts'
export type { DispatcherOptions } from './options.ts'
export type { PayloadOf } from './payloadtype.ts'
export type { DispatchOptions } from './prepare.ts'
export { type PayloadIn, payloadSchemaOf, type StandardSchema } from './standardschema.ts'
export type { RequestName, StatusOptions } from './status.ts'
export type { WaitOptions, WaitOutcome } from './waiting.ts'
export { createWorker, type Worker, type WorkerOptions } from './worker.ts'
