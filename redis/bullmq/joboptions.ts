/** The job that an item becomes: its name, its time and its options, as BullMQ takes them. */
import type { JobsOptions } from 'bullmq'
import type { ForwardTarget } from '../placement.ts'
import type { AddOptions } from './addscript.ts'
import { dispatchedAt, type ForwardItem, sumOf } from './item.ts'

/** Options that decide which of BullMQ's scripts adds an item. */
export const addOptionsOf = (target: ForwardTarget, { asked }: ForwardItem): AddOptions =>
  asked === undefined ? target.jobOptions : { ...target.jobOptions, ...asked.options }

/** A job's name and time, milliseconds since 1970. A delay that the request asks for counts from that time. */
export function headOf(
  target: ForwardTarget,
  item: ForwardItem,
  now: number,
): { readonly name: string; readonly timestamp: number } {
  const { asked } = item
  if (asked === undefined) return { name: target.jobName, timestamp: now }
  const timestamp = (asked.options.delay ?? 0) > 0 ? dispatchedAt(item, now) : now
  return { name: asked.name ?? target.jobName, timestamp }
}

/** Options of the job an item becomes: the target's, its id, and where it came from. */
export function jobOptionsOf(target: ForwardTarget, item: ForwardItem, id: string): JobsOptions {
  const { json, trace, metadata, asked, origin, redrives } = item
  const own = {
    ...(origin === undefined ? {} : { id: origin }),
    ...(redrives === undefined || redrives === 0 ? {} : { redrives: String(redrives) }),
    sum: sumOf(json),
    ...(metadata === undefined ? {} : { metadata }),
    ...(asked === undefined || asked.fields.length === 0 ? {} : { asked: asked.fields }),
  }
  return {
    ...target.jobOptions,
    ...asked?.options,
    jobId: id,
    // BullMQ has no such option, and keeps options that it does not know. By it a failed job is traced to its entry, and its data is
    // compared with the request's. Metadata is here because job data and its sum belong to the payload alone.
    ...{ sp: own },
    ...(trace.traceparent === undefined ? {} : { telemetry: { metadata: JSON.stringify(trace) } }),
  }
}
