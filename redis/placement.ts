/**
 * Where a pipeline's data lies: the stream with its dead letters, and the queue. Helper keys stand in the slot of what they
 * guard; marks and locks are written together with the job, so they go with the queue when it lives elsewhere.
 */
import type { CompiledPipeline } from '../api/compiled.ts'
import type { ForwardTarget } from './forward/forwarder.ts'
import { keySpace } from './keys.ts'
import type { StreamPlace } from './stream/settlement.ts'

export function streamPlace({ source, deadLetter }: CompiledPipeline): StreamPlace {
  return {
    stream: source.stream,
    group: source.group,
    deadLetters: deadLetter.stream,
    maxDeadLetters: deadLetter.maxEntries,
    keys: keySpace(source.stream, source.group),
  }
}

export function forwardTarget({ source, sink, idempotency }: CompiledPipeline): ForwardTarget {
  const anchor = sink.redis === undefined ? source.stream : `${sink.prefix}:${sink.queue}`
  return {
    queue: sink.queue,
    prefix: sink.prefix,
    jobName: sink.jobName,
    jobOptions: sink.jobOptions,
    windowMs: idempotency.windowMs,
    lockTtlMs: idempotency.lockTtlMs,
    keys: keySpace(source.stream, source.group, anchor),
  }
}
