/** `streampipeline/api`: the resource's types, checks, compiled form and CRD, and the error catalogue. No I/O but `validateFile`. */
export { compilePipeline, parsePipeline } from './compile.ts'
export type * from './compiled.ts'
export { type CustomResourceDefinition, crd } from './crd.ts'
export { formatAge, formatDuration, parseDuration } from './duration.ts'
export { type ErrorCode, errorCatalogue, failure, StreamPipelineError } from './errors.ts'
export { type CheckedResource, type FileReport, readPipelines, validateFile } from './files.ts'
export { type LoadedPipeline, loadPipelines } from './load.ts'
export { formatQuantity, parseQuantity } from './quantity.ts'
export {
  apiVersion,
  type ConsumerSpec,
  group,
  kind,
  plural,
  type StreamPipeline,
  type StreamPipelineInput,
  type StreamPipelineSpec,
  version,
} from './schema/pipeline.ts'
export { type Condition, type ConditionType, conditionTypes, type StreamPipelineStatus } from './status.ts'
export { describeProblems, type Problem, pipelineWarnings, validate } from './validate.ts'
export { compilePayloadSchema } from './validation/payload-schema.ts'
