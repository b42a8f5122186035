/**
 * The content of a failed job's hash, in the form of its dead letter. Anybody who may write to the queue may have written there:
 * what is no number is taken for 0, what is no JSON for text.
 *
 * The request is the entry's own bytes while the stream holds them; the script that records looks for that. If the stream no longer
 * holds it, the copy that the forwarder left in the job counts (`spRequest`, with `deadLetter.requestCopy`). Without a copy the
 * job's data counts. Workers may change that data: BullMQ documents it for steps. So the forwarder leaves a sum of the data in the
 * job's options; data of another sum is `altered`. A job without a sum, from an earlier release, is judged by its idempotency key
 * alone.
 */
import { encode } from '@msgpack/msgpack'
import { askedFieldsOf, memberOf, metadataOf, sumOf } from '../bullmq/item.ts'
import type { Codec } from '../payload/codec.ts'

export interface FailedJob {
  readonly hash: string
  /** BullMQ's time of the failure, which tells it from an earlier one of the job. */
  readonly finishedOn: string
  readonly reason: string
  readonly attempts: string
  /** Id of the entry; empty where it is not known. */
  readonly origin: string
  readonly firstSeen: string
  readonly redrives: string
  /** MessagePack of field, value, …; of use where the stream no longer holds the entry. */
  readonly payload: Buffer
  /** The payload is not known to be the request as it came. */
  readonly altered: boolean
  readonly stacktrace: string
}

/** Fields of the hash, in the order in which `failedJobOf` takes their values. */
export const failedJobFields = [
  'finishedOn',
  'spCaptured',
  'failedReason',
  'atm',
  'opts',
  'data',
  'spRequest',
  'timestamp',
  'stacktrace',
] as const

const reasonBytes = 1_000
const stacktraceBytes = 4_096

/** Undefined where the job has not failed, or this failure is recorded. @param hash of the idempotency key, from the job's id */
export function failedJobOf(codec: Codec, hash: string, values: readonly (string | null)[]): FailedJob | undefined {
  const [finishedOn, captured, reason, attempts, opts, data, request, timestamp, stacktrace] = values
  if (!finishedOn || captured === finishedOn) return undefined
  const { origin, redrives, sum } = originOf(opts)
  const text = request ?? data ?? ''
  const options = parsed(opts)
  const beside = [...Object.entries(metadataOf(options)).flat(), ...askedFieldsOf(options)]
  return {
    hash,
    finishedOn,
    reason: shortened(reason ?? '', reasonBytes),
    attempts: countOf(attempts),
    origin,
    firstSeen: origin.split('-')[0] || countOf(timestamp),
    redrives,
    payload: payloadOf(codec, text, beside),
    altered: sum === '' ? hashOf(codec, text) !== hash : sumOf(text) !== sum,
    stacktrace: shortened(lastTrace(stacktrace), stacktraceBytes),
  }
}

/** The forwarder's notes in the job's options, as strings: numbers lose precision on their way through Lua. */
function originOf(opts: string | null | undefined) {
  const sp = memberOf(parsed(opts), 'sp')
  const text = (name: string) => {
    const value = memberOf(sp, name)
    return typeof value === 'string' ? value : ''
  }
  const origin = text('id')
  return { origin: /^\d{1,20}-\d{1,20}$/.test(origin) ? origin : '', redrives: countOf(text('redrives')), sum: text('sum') }
}

const countOf = (text: string | null | undefined) => (/^\d{1,15}$/.test(text ?? '') ? String(text) : '0')

/** The payload as an entry's fields again, for when the entry itself is no longer in the stream. */
function payloadOf(codec: Codec, data: string, beside: readonly string[]): Buffer {
  const value = parsed(data)
  return Buffer.from(encode([...(isPlain(value) ? codec.restore(value) : ['payload', data]), ...beside]))
}

function hashOf(codec: Codec, data: string): string | undefined {
  const value = parsed(data)
  return isPlain(value) ? codec.hashOf(value) : undefined
}

const isPlain = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)

/** BullMQ keeps a trace for each attempt. */
function lastTrace(stacktrace: string | null | undefined): string {
  const traces = parsed(stacktrace)
  const last: unknown = Array.isArray(traces) ? traces.at(-1) : undefined
  return typeof last === 'string' ? last : ''
}

/** At most so many bytes, and no half character at the end. */
function shortened(text: string, bytes: number): string {
  const whole = Buffer.from(text)
  if (whole.length <= bytes) return text
  let end = bytes
  while (end > 0 && ((whole[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return whole.toString('utf8', 0, end)
}

/** Undefined for invalid JSON: another program wrote into the hash of our job, and the record must still be made. */
function parsed(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? '{}')
  } catch {
    return undefined
  }
}
