/** An application's options for a dispatcher. */
import type { CompiledPipeline } from '../api/compiled.ts'
import type { StreamPipelineError } from '../api/errors.ts'
import type { StreamPipelineInput } from '../api/schema/pipeline.ts'
import type { DispatchConfig, DispatchMode } from '../redis/dispatchconfig.ts'
import type { RedisInput } from './lent.ts'
import type { StandardSchema } from './standardschema.ts'

export interface DispatcherOptions {
  /** The pipeline, in place of `config`: a StreamPipeline as an object, or its compiled form. */
  readonly pipeline?: StreamPipelineInput | CompiledPipeline
  /**
   * The configuration that the operator publishes in the ConfigMap `<pipeline>-dispatch`: the object, or the folder where it is
   * mounted. The dispatcher reads the folder again every few seconds. Default: the environment variable STREAMPIPELINE_DISPATCH.
   */
  readonly config?: DispatchConfig | string
  /**
   * The application's schema of a payload: zod or any other Standard Schema that exports JSON Schema. It types `dispatch`, which checks the
   * payload against it before it sends anything. A schema that changes values is refused. If the resource has another schema, `onError`
   * receives SchemaDiffers; consumers apply the schema of the resource.
   */
  readonly schema?: StandardSchema
  /** Fixes the mode. Default: the environment variable STREAMPIPELINE_MODE, else the mode in Redis, else the configuration's. */
  readonly mode?: DispatchMode
  /** The stream's Redis. Default: that of `pipeline`. With `config` it is required. */
  readonly redis?: RedisInput
  /** The queue's Redis, if that is another one. Default: that of `pipeline`, else `redis`. */
  readonly queueRedis?: RedisInput
  /** Folder with the Secrets and ConfigMaps that the pipeline's Redis refers to: `DIR/secret/NAME/KEY`. */
  readonly refs?: string
  /**
   * Longest time of one call, in milliseconds. After it the call fails with RedisUnreachable. Default 5,000. After a thousand payloads
   * without an answer, only one call at a time goes to Redis until it answers. The others fail at once.
   */
  readonly timeoutMs?: number
  /**
   * Receives failures that do not fail a call. Among them are a mounted configuration that is unreadable (the last one stays in force),
   * `SchemaDiffers`, `PortableForwarding` (the dispatcher adds jobs by the portable path), and `ReplicationUnconfirmed` (no replica
   * confirms direct dispatches). Default: `process.emitWarning`.
   */
  readonly onError?: (error: StreamPipelineError) => void
  /** Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>
}
