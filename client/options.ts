/** An application's options for a dispatcher. */
import type { CompiledPipeline } from '../api/compiled.ts'
import type { StreamPipelineError } from '../api/errors.ts'
import type { StreamPipelineInput } from '../api/schema/pipeline.ts'
import type { DispatchConfig, DispatchMode } from '../redis/dispatchconfig.ts'
import type { RedisInput } from './lent.ts'
import type { StandardSchema } from './standardschema.ts'

export interface DispatcherOptions {
  /** The pipeline: a StreamPipeline document, or the compiled form. Instead of `config`. */
  readonly pipeline?: StreamPipelineInput | CompiledPipeline
  /**
   * The configuration that the operator published in the ConfigMap `<pipeline>-dispatch`: the object, or the folder it is mounted
   * at. The folder is read again every few seconds. Default: the environment variable STREAMPIPELINE_DISPATCH.
   */
  readonly config?: DispatchConfig | string
  /**
   * The application's schema of a payload: zod or any other Standard Schema that exports JSON Schema. It types `dispatch` and is checked before
   * anything is sent. Schemas that change values are refused. `onError` receives SchemaDiffers where the resource has another schema; consumers
   * go by the resource's.
   */
  readonly schema?: StandardSchema
  /** Pins the mode. Default: environment variable STREAMPIPELINE_MODE; else Redis and the configuration decide. */
  readonly mode?: DispatchMode
  /** The stream's Redis. Default: the pipeline's; needed with `config`. */
  readonly redis?: RedisInput
  /** The queue's Redis, where that is another one. Default: the pipeline's, else `redis`. */
  readonly queueRedis?: RedisInput
  /** Folder with the Secrets and ConfigMaps that the pipeline's Redis refers to: `DIR/secret/NAME/KEY`. */
  readonly refs?: string
  /**
   * How long one call may take, in milliseconds, before it fails with RedisUnreachable. Default 5,000. Once a thousand payloads
   * have gone unanswered, one call at a time may pass until Redis answers. The others fail at once.
   */
  readonly timeoutMs?: number
  /**
   * Receives faults that stop nothing. A mounted configuration became unreadable; the last one stays in force. `PortableForwarding`: the
   * composed script cannot add jobs. `ReplicationUnconfirmed`: no replica confirms direct dispatches. Default: `process.emitWarning`.
   */
  readonly onError?: (error: StreamPipelineError) => void
  /** Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>
}
