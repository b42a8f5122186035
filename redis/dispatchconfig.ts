/**
 * A producer's view of a pipeline, as the operator publishes it: the ConfigMap `<name>-dispatch`, key STREAMPIPELINE_DISPATCH, one
 * JSON document. It names no Redis: addresses and passwords are the application's own matter.
 *
 * Unknown fields are ignored, unlike everywhere else, because an operator may be newer than the library in an application.
 * `version` changes when an old reader would go wrong.
 */
import { z } from 'zod'
import type { CompiledAllow, CompiledPayload, CompiledPipeline } from '../api/compiled.ts'
import { failure } from '../api/errors.ts'
import { scopeOf } from './keys.ts'
import { targetFields } from './placement.ts'

/** Name of the ConfigMap's key, of the file it is mounted as, and of the environment variable. */
export const dispatchVariable = 'STREAMPIPELINE_DISPATCH'
/** Environment variable that pins the mode: `Stream` or `Direct`. */
export const modeVariable = 'STREAMPIPELINE_MODE'

export const dispatchMode = z.enum(['Stream', 'Direct'])
export type DispatchMode = z.infer<typeof dispatchMode>

const name = z.string().min(1)
const count = z.int().min(0)
const keptJobs = z.union([
  z.boolean(),
  z.object({ count, age: count.exactOptional() }),
  z.object({ age: count, count: count.exactOptional() }),
])

/** Options of each job, in BullMQ's own form: delays in milliseconds, ages in seconds. */
const jobOptions = z.object({
  attempts: z.int().min(1),
  backoff: z.object({ type: z.enum(['fixed', 'exponential']), delay: count }).exactOptional(),
  priority: count.exactOptional(),
  delay: count.exactOptional(),
  lifo: z.boolean().exactOptional(),
  removeOnComplete: keptJobs,
  removeOnFail: keptJobs,
})

const keptBound = z.object({ atOnce: z.boolean(), least: keptJobs })

/** The options that a request may set for its own job; absent members are refused. */
const allow = z.object({
  names: z.array(name).exactOptional(),
  maxDelay: count.exactOptional(),
  priority: z.object({ min: count, max: count }).exactOptional(),
  maxAttempts: count.exactOptional(),
  maxBackoff: count.exactOptional(),
  lifo: z.literal(true).exactOptional(),
  removeOnComplete: keptBound.exactOptional(),
  removeOnFail: keptBound.exactOptional(),
  idempotencyKey: z.literal(true).exactOptional(),
})

const dispatchConfig = z
  .object({
    version: z.literal(1),
    /** The mode of producers, unless they pin one or Redis has another. */
    mode: dispatchMode,
    stream: name,
    group: name,
    /** The dead letters' stream; absent in a configuration of an earlier release: a status then knows nothing of them. */
    deadLetters: name.exactOptional(),
    /** Hash of stream and group that job ids and helper keys carry. */
    scope: name,
    queue: name.refine((queue) => !queue.includes(':'), 'must not contain a colon'),
    prefix: name,
    jobName: name,
    jobOptions,
    /** Absent: requests set no options. */
    allow: allow.exactOptional(),
    /** How long an equal idempotency key counts as the same request, from its forwarding. */
    windowMs: count,
    /** A direct dispatch on the portable path locks each key for this long at most. */
    lockTtlMs: z.int().min(1),
    /** Whether jobs keep their data as it came, beside what workers may change; absent: they don't. */
    requestCopy: z.boolean().exactOptional(),
    encoding: z.enum(['Fields', 'Json']),
    /** With Json: the entry's field that holds the document; else empty. */
    field: z.string(),
    /** JSON Schema 2020-12 of the payload. */
    schema: z.record(z.string(), z.unknown()).exactOptional(),
    /** Fields whose values make the idempotency key, in order; absent: the canonical payload. */
    idempotencyKey: z.array(name).min(1).exactOptional(),
    /** True: an empty text is a key. Absent means false. */
    allowEmptyKey: z.literal(true).exactOptional(),
    /** Entry fields outside the payload, by name or `prefix*`: the ignored ones, and the metadata. */
    ignoreFields: z.array(name).exactOptional(),
    metadataFields: z.array(name).exactOptional(),
    /** Payload fields that set options of the job. */
    nameFrom: name.exactOptional(),
    delayFrom: name.exactOptional(),
    priorityFrom: name.exactOptional(),
    maxBytes: z.int().min(1),
    maxFields: z.int().min(1),
    /** Approximate bound on the stream's length, enforced by each add. */
    maxEntries: z.int().min(1).exactOptional(),
    /** True when the queue lives in another Redis than the stream. */
    queueElsewhere: z.boolean(),
  })
  .refine(({ stream, group, scope }) => scope === scopeOf(stream, group), {
    path: ['scope'],
    message: 'does not belong to this stream and group',
  })

export type DispatchConfig = z.infer<typeof dispatchConfig>

/**
 * Reads a dispatch configuration: the JSON text, or the parsed object. Throws InvalidOption, which names the fields.
 *
 * @param origin the source of the configuration, for messages
 */
export function parseDispatchConfig(given: unknown, origin: string = dispatchVariable): DispatchConfig {
  const parsed = dispatchConfig.safeParse(typeof given === 'string' ? readJson(given, origin) : given)
  if (parsed.success) return parsed.data
  const detail = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'document'}: ${issue.message}`).join('; ')
  throw failure('InvalidOption', { option: origin, detail })
}

function readJson(text: string, origin: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw failure('InvalidOption', { option: origin, detail: 'not a JSON document' }, thrown)
  }
}

/** The dispatch configuration of a pipeline. Pure. @param mode the mode that producers get; it may lag behind the pipeline's own */
export function dispatchConfigOf(pipeline: CompiledPipeline, mode: DispatchMode = pipeline.mode): DispatchConfig {
  const { source, payload, sink, deadLetter } = pipeline
  const { stream, group, queueElsewhere, ...target } = targetFields(pipeline)
  return {
    version: 1,
    mode,
    stream,
    group,
    deadLetters: deadLetter.stream,
    scope: scopeOf(stream, group),
    ...target,
    ...(sink.allow === undefined ? {} : { allow: writableAllow(sink.allow) }),
    encoding: payload.encoding,
    field: payload.field,
    ...optionalOf(payload),
    maxBytes: payload.maxBytes,
    maxFields: payload.maxFields,
    ...(source.retention.maxEntries === undefined ? {} : { maxEntries: source.retention.maxEntries }),
    queueElsewhere,
  }
}

const writableAllow = ({ names, ...rest }: CompiledAllow): NonNullable<DispatchConfig['allow']> => ({
  ...(names === undefined ? {} : { names: [...names] }),
  ...rest,
})

/** The part of it that the payload codec is made from. */
export function payloadOf(config: DispatchConfig): CompiledPayload {
  const { encoding, field, maxBytes, maxFields } = config
  return { encoding, field, ...optionalOf(config), maxBytes, maxFields }
}

type Optional = Pick<
  CompiledPayload,
  | ('schema' | 'idempotencyKey' | 'allowEmptyKey' | 'ignoreFields' | 'metadataFields')
  | ('nameFrom' | 'delayFrom' | 'priorityFrom')
>

/** Settings that a payload may lack. */
function optionalOf({ schema, idempotencyKey, allowEmptyKey, ignoreFields, metadataFields, ...from }: Optional) {
  const { nameFrom, delayFrom, priorityFrom } = from
  return {
    ...(schema === undefined ? {} : { schema }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey: [...idempotencyKey] }),
    ...(allowEmptyKey === undefined ? {} : { allowEmptyKey }),
    ...(ignoreFields === undefined ? {} : { ignoreFields: [...ignoreFields] }),
    ...(metadataFields === undefined ? {} : { metadataFields: [...metadataFields] }),
    ...(nameFrom === undefined ? {} : { nameFrom }),
    ...(delayFrom === undefined ? {} : { delayFrom }),
    ...(priorityFrom === undefined ? {} : { priorityFrom }),
  }
}
