/**
 * What producers need to know, published as one JSON value in the ConfigMap `<name>-dispatch`. Nothing secret is in it: producers
 * bring their own connection to Redis.
 */
import type { CompiledJobOptions, CompiledPipeline } from '../../api/compiled.ts'
import { scopeOf } from '../../redis/keys.ts'

/** The ConfigMap's key, and the environment variable it becomes with `envFrom`. */
export const dispatchKey = 'STREAMPIPELINE_DISPATCH'

export interface DispatchConfig {
  readonly version: 1
  readonly mode: 'Stream' | 'Direct'
  readonly stream: string
  readonly group: string
  /** Short hash of [stream, group] in helper keys and job ids. */
  readonly scope: string
  readonly queue: string
  readonly prefix: string
  readonly jobName: string
  /** In BullMQ's own form. */
  readonly jobOptions: CompiledJobOptions
  readonly windowMs: number
  readonly lockTtlMs: number
  readonly encoding: 'Fields' | 'Json'
  readonly field: string
  readonly schema?: Readonly<Record<string, unknown>>
  readonly idempotencyKey?: readonly string[]
  readonly maxBytes: number
  readonly maxFields: number
  /** Hard bound on the stream's length; absent: none. */
  readonly maxEntries?: number
  /** The queue lives in another Redis than the stream. */
  readonly queueElsewhere: boolean
}

export function dispatchConfig(pipeline: CompiledPipeline, mode: 'Stream' | 'Direct'): DispatchConfig {
  const { source, sink, payload, idempotency } = pipeline
  return {
    version: 1,
    mode,
    stream: source.stream,
    group: source.group,
    scope: scopeOf(source.stream, source.group),
    queue: sink.queue,
    prefix: sink.prefix,
    jobName: sink.jobName,
    jobOptions: sink.jobOptions,
    windowMs: idempotency.windowMs,
    lockTtlMs: idempotency.lockTtlMs,
    encoding: payload.encoding,
    field: payload.field,
    ...(payload.schema === undefined ? {} : { schema: payload.schema }),
    ...(payload.idempotencyKey === undefined ? {} : { idempotencyKey: payload.idempotencyKey }),
    maxBytes: payload.maxBytes,
    maxFields: payload.maxFields,
    ...(source.retention.maxEntries === undefined ? {} : { maxEntries: source.retention.maxEntries }),
    queueElsewhere: sink.redis !== undefined,
  }
}

/** The mode a published ConfigMap carries; undefined where it carries none that can be read. */
export function publishedMode(data: Readonly<Record<string, string>> | undefined): 'Stream' | 'Direct' | undefined {
  try {
    const { mode } = JSON.parse(data?.[dispatchKey] ?? '{}') as { mode?: unknown }
    return mode === 'Stream' || mode === 'Direct' ? mode : undefined
  } catch {
    // Somebody edited it: what is applied next puts it right.
    return undefined
  }
}
