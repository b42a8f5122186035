/**
 * The memory that copies of requests may take in the queue's Redis (`deadLetter.requestCopy`). Each job keeps one as long as it exists. A
 * copy has about the payload's size: at most `payload.maxBytes` and the JSON around it. Backpressure bounds the waiting jobs; the job
 * options bound the finished and kept ones. The workers decide the number of active jobs.
 */
import type { CompiledPipeline, KeptJobs } from './compiled.ts'
import { formatQuantity } from './quantity.ts'

/** `up to 12750Mi of the queue's Redis for copies of requests: …`. Undefined: jobs keep no copies. */
export function describeRequestCopies({ deadLetter, payload, sink }: CompiledPipeline): string | undefined {
  if (!deadLetter.requestCopy) return undefined
  const { maxBytes } = payload
  const { maxWaiting, jobOptions } = sink
  const completed = mostKept(jobOptions.removeOnComplete)
  const bounded = maxWaiting + (completed ?? 0)
  const total = formatQuantity(rounded(bounded * maxBytes))
  const of = [
    `${maxWaiting} jobs that wait (sink.bullmq.maxWaiting)`,
    ...(completed === undefined || completed === 0 ? [] : [`${completed} that are completed and kept (removeOnComplete.count)`]),
  ]
  const further = ['at work', ...(completed === undefined ? ['completed'] : []), 'failed']
  const each = formatQuantity(maxBytes)
  return `up to ${total} of the queue's Redis for copies of requests (deadLetter.requestCopy): up to ${each} (payload.maxBytes) for each of ${of.join(' and ')}, and as much for each job that is ${further.join(' or ')}`
}

/** Undefined: their number has no bound. */
function mostKept(kept: KeptJobs): number | undefined {
  if (typeof kept === 'boolean') return kept ? 0 : undefined
  return kept.count
}

function rounded(bytes: number): number {
  const unit = bytes >= 2 ** 20 ? 2 ** 20 : 1024
  return Math.ceil(bytes / unit) * unit
}
