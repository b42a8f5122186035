/** A forward item becomes one job: a payload that is valid and has a key, and its origin. */
import { crc32 } from 'node:zlib'
import type { Metadata, Trace } from '../payload/fields.ts'
import type { Asked } from '../payload/request.ts'

export interface ForwardItem {
  readonly hash: string
  /** The payload as JSON, UTF-8: bytes outside V8's heap, since an item lives longer than a young collection. */
  readonly json: Buffer
  readonly trace: Trace
  /** Fields beside the payload that are kept for the worker. */
  readonly metadata?: Metadata
  /** The options that the request sets for its job. */
  readonly asked?: Asked
  /** Id of the stream entry; absent for Direct dispatch. Kept in the mark, to answer where a job came from. */
  readonly origin?: string
  /** How often it came back from the dead letters. */
  readonly redrives?: number
}

/** Shows whether a job's data is still as it was forwarded: against changes by its worker, not against forgery. */
export const sumOf = (json: Buffer | string) => crc32(json).toString(16).padStart(8, '0')

export const jsonOf = (data: object) => Buffer.from(JSON.stringify(data))

/** The payload as a worker will see it. */
export function dataOf({ json }: ForwardItem): object {
  return JSON.parse(json.toString())
}

/** The entry's metadata fields, which the forwarder put into the job's options. Other programs may have written there. */
export function metadataOf(options: unknown): Metadata {
  const own = memberOf(memberOf(options, 'sp'), 'metadata')
  if (typeof own !== 'object' || own === null) return {}
  return Object.fromEntries(Object.entries(own).filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
}

/** The options that a job's request set, as fields of its entry: field, value, … */
export function askedFieldsOf(options: unknown): readonly string[] {
  const asked = memberOf(memberOf(options, 'sp'), 'asked')
  if (!Array.isArray(asked) || asked.length % 2 === 1) return []
  return asked.every((text) => typeof text === 'string') ? asked : []
}

/**
 * When a request was dispatched, milliseconds since 1970: the time in its entry's id. A producer may have written another id; a time that
 * no clock had counts as `now`.
 */
export function dispatchedAt({ origin = '' }: Pick<ForwardItem, 'origin'>, now: number): number {
  const time = Number(origin.split('-')[0])
  return time >= earliestDispatch && time <= now + latestSkewMs ? time : now
}

const earliestDispatch = Date.UTC(2020)
const latestSkewMs = 24 * 60 * 60_000

export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
}
