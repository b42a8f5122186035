/**
 * `streampipeline`: what an application imports. `createDispatcher` hands work over, `createWorker` runs it. Importing does no
 * work, and loads next to nothing: no connection, no timer, nothing read from the environment.
 */
export {
  type ErrorCode,
  StreamPipelineError,
} from '../api/errors.ts'
export type { DispatchConfig, DispatchMode } from '../redis/dispatchconfig.ts'
export type { Kept, RequestOptions } from '../redis/payload/request.ts'
export type { DeadStatus, EntryStatus } from '../redis/status/entrystate.ts'
export type { JobState, JobStatus } from '../redis/status/jobstate.ts'
export type { RequestEvent, RequestState, RequestStatus } from '../redis/status/summary.ts'
export type { Dispatcher, DispatchResult } from './dispatcher.ts'
export type { ExecutionContext, Skipped } from './execution.ts'
export { createDispatcher, createWorker, loadPipelines, parseDispatchConfig } from './firstuse.ts'
export type { Handler, Handlers } from './handlers.ts'
export type { WorkerJob } from './job.ts'
export type { RedisInput } from './lent.ts'
export type { ExecutionOutcome } from './metrics.ts'
export type { DispatcherOptions } from './options.ts'
export type { PayloadOf } from './payloadtype.ts'
export type { DispatchOptions } from './prepare.ts'
export type { RequestName } from './requestname.ts'
export { type PayloadIn, payloadSchemaOf, type StandardSchema } from './standardschema.ts'
export type { StatusOptions } from './status.ts'
export type { CancelOutcome, WaitOutcome } from './verdicts.ts'
export type { WaitOptions } from './waiting.ts'
export type { Worker } from './worker.ts'
export type { WorkerEvents } from './workerevents.ts'
export type { WorkerOptions } from './workeroptions.ts'
