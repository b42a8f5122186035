/**
 * Where a pipeline's data lies: the stream with its dead letters, and the queue. Helper keys stand in the slot of the data they
 * guard. Marks and locks are written together with the job, so they go with the queue if it lives elsewhere.
 */
import type { CompiledJobOptions, CompiledPipeline } from '../api/compiled.ts'
import { type KeySpace, keySpace, slotOf } from './keys.ts'

export interface StreamPlace {
  readonly stream: string
  readonly group: string
  readonly deadLetters: string
  readonly maxDeadLetters: number
  readonly keys: KeySpace
}

/** Where jobs go and how long a key is remembered. */
export interface ForwardTarget {
  readonly queue: string
  readonly prefix: string
  readonly jobName: string
  readonly jobOptions: CompiledJobOptions
  /** How long a key is remembered, from forwarding. */
  readonly windowMs: number
  /** How long a crashed forwarder blocks a key. */
  readonly lockTtlMs: number
  /** Whether a job keeps its data as it came, beside what workers may change. */
  readonly requestCopy?: boolean
  /** Helper keys in the queue's slot: marks live with the queue, since they are written in one step with the job. */
  readonly keys: KeySpace
}

export function streamPlace({ source, deadLetter }: CompiledPipeline): StreamPlace {
  return {
    stream: source.stream,
    group: source.group,
    deadLetters: deadLetter.stream,
    maxDeadLetters: deadLetter.maxEntries,
    keys: keySpace(source.stream, source.group),
  }
}

/** The fields that a target is made from. A dispatch configuration holds them, too, under the same names. */
interface TargetFields extends Omit<ForwardTarget, 'keys'> {
  readonly stream: string
  readonly group: string
  /** True when the queue lives in another Redis than the stream. */
  readonly queueElsewhere: boolean
}

export function targetFields({ source, sink, idempotency, deadLetter }: CompiledPipeline): TargetFields {
  return {
    stream: source.stream,
    group: source.group,
    queue: sink.queue,
    prefix: sink.prefix,
    jobName: sink.jobName,
    jobOptions: sink.jobOptions,
    windowMs: idempotency.windowMs,
    lockTtlMs: idempotency.lockTtlMs,
    queueElsewhere: sink.redis !== undefined,
    // Left out where it is off: an older library knows the same target.
    ...(deadLetter.requestCopy ? { requestCopy: true } : {}),
  }
}

/**
 * Consumers and direct dispatch derive the target here. While the mode changes, both may forward at once, and must use the same
 * keys.
 */
export function targetOf(fields: TargetFields): ForwardTarget {
  const { stream, group, queue, prefix, jobName, jobOptions, windowMs, lockTtlMs, queueElsewhere, requestCopy = false } = fields
  const keys = keySpace(stream, group, queueElsewhere ? `${prefix}:${queue}` : stream)
  return { queue, prefix, jobName, jobOptions, windowMs, lockTtlMs, requestCopy, keys }
}

export function forwardTarget(pipeline: CompiledPipeline): ForwardTarget {
  return targetOf(targetFields(pipeline))
}

/** Where everything of a pipeline lies; built once and handed to all who need a part of it. */
export interface Placement {
  readonly place: StreamPlace
  readonly target: ForwardTarget
  /** Whether one script may touch stream, dead letters and queue. */
  readonly together: boolean
}

export function placementOf(pipeline: CompiledPipeline): Placement {
  const place = streamPlace(pipeline)
  const target = forwardTarget(pipeline)
  const slots = new Set([place.stream, place.deadLetters, queueKey(target)].map(slotOf))
  const together = pipeline.sink.redis === undefined && (pipeline.redis.kind !== 'Cluster' || slots.size === 1)
  return { place, target, together }
}

/** The prefix of BullMQ's keys of a queue, its last colon included. */
export function queueKey({ prefix, queue }: Pick<ForwardTarget, 'prefix' | 'queue'>): string {
  return `${prefix}:${queue}:`
}
