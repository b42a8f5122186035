/** A forward item becomes one job: a payload that is valid and has a key, and its origin. */
import { crc32 } from 'node:zlib'
import type { Trace } from '../payload/fields.ts'

export interface ForwardItem {
  readonly hash: string
  /** The payload as JSON, UTF-8: bytes outside V8's heap, since an item lives longer than a young collection. */
  readonly json: Buffer
  readonly trace: Trace
  /** Id of the stream entry; absent for Direct dispatch. Kept in the mark, for whoever asks where a job came from. */
  readonly origin?: string
  /** How often it came back from the dead letters. */
  readonly redrives?: number
}

/** Tells whether a job's data is still what it was forwarded with: against changes by its worker, not against forgery. */
export const sumOf = (json: Buffer | string) => crc32(json).toString(16).padStart(8, '0')

export const jsonOf = (data: object) => Buffer.from(JSON.stringify(data))

/** The payload as a worker will see it. */
export function dataOf({ json }: ForwardItem): object {
  return JSON.parse(json.toString())
}
