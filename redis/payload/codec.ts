/**
 * Between a stream entry and a payload. One codec serves both sides. The dispatcher encodes a payload, and decodes the result. So a
 * Direct payload makes the same round trip through strings as one in the stream, and gets the same key. Otherwise `1` and `"1"`
 * would differ.
 */
import type { CompiledAllow, CompiledPayload } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import type { FieldList } from '../reply/fieldlist.ts'
import { createDecoder, type Decoded, type Judged } from './decoder.ts'
import { createEncoder } from './encoding.ts'
import { createFieldSorter, isReserved, show, type Trace } from './fields.ts'
import type { PayloadObject } from './parsing.ts'
import { bringsKey } from './request.ts'

interface Encoded {
  readonly flat: string[]
  readonly decoded: Judged
}

export interface Codec {
  /** @param entry field, value, …, as Redis replies them */
  decode(entry: FieldList | readonly Buffer[]): Decoded
  /**
   * Flat field, value, … in a deterministic order. Throws PayloadRejected, naming the field.
   * @param options fields that carry options of the request (request.ts)
   */
  encode(payload: object, trace?: Trace, options?: readonly string[]): string[]
  /** As `encode`, with what decoding makes of these fields. */
  encodeAndDecode(payload: object, trace?: Trace, options?: readonly string[]): Encoded
  /** The same fields for data that came out of an entry, whatever the schema says of it by now. */
  restore(data: object): string[]
  /** Hash of the idempotency key of data that came out of an entry, whatever the schema says of it; undefined where it has no key. */
  hashOf(data: object): string | undefined
}

/** @param allow what requests may set; undefined: nothing */
export function createCodec(payload: CompiledPayload, allow?: CompiledAllow): Codec {
  const { decode, judge, hashOf } = createDecoder(payload, allow)
  const encoder = createEncoder(payload)
  const sort = createFieldSorter(payload)

  const checkNames = (plain: PayloadObject) => {
    const names = Object.keys(plain)
    if (payload.encoding === 'Json') return
    if (names.length === 0) throw rejected('it has no members, and a stream entry needs a field')
    const reserved = names.find(isReserved)
    if (reserved !== undefined) throw rejected(`field ${show(reserved)} has a reserved name; rename it`)
    const left = names.find((name) => sort(name) !== 'Own')
    if (left !== undefined) {
      throw rejected(
        `field ${show(left)} is no payload by payload.ignoreFields or metadataFields; rename it, or take it off the list`,
      )
    }
  }

  const encodeAndDecode = (given: object, trace: Trace = {}, options: readonly string[] = []) => {
    const plain = encoder.plain(given)
    checkNames(plain)
    if (!bringsKey(options)) checkKey(payload, plain)
    const tried = (flat: string[]) => {
      if (trace.traceparent !== undefined) flat.push('traceparent', trace.traceparent)
      if (trace.tracestate !== undefined) flat.push('tracestate', trace.tracestate)
      flat.push(...options)
      return { flat, checked: judge(flat) }
    }
    const first = tried(encoder.members(plain))
    const other = first.checked.kind === 'Invalid' ? encoder.spelledOut(plain) : undefined
    const second = other && tried(other)
    const { flat, checked } = second?.checked.kind === 'Valid' ? second : first
    if (checked.kind === 'Invalid') throw rejected(`${checked.reason}: ${checked.error}`)
    if (payload.encoding === 'Fields') checkArrival(plain, checked.data, checked.sure)
    return { flat, decoded: checked }
  }

  const restore = (data: object) => {
    const plain = encoder.plain(data)
    return encoder.spelledOut(plain) ?? encoder.members(plain)
  }

  return {
    decode,
    encode: (given, trace, options) => encodeAndDecode(given, trace, options).flat,
    encodeAndDecode,
    restore,
    hashOf: (data) => hashOf(restore(data)),
  }
}

const rejected = (detail: string) => failure('PayloadRejected', { detail })

/** Under Fields null becomes a text, which might be a key. So the original value is examined. */
function checkKey({ idempotencyKey = [] }: CompiledPayload, plain: PayloadObject): void {
  const name = idempotencyKey.find((field) => Object.hasOwn(plain, field) && plain[field] === null)
  if (name !== undefined) throw rejected(`InvalidPayload: field ${show(name)} of the idempotency key is null`)
}

/**
 * Whether a worker receives the given payload unchanged. A number, boolean, list or object where the schema allows text arrives as
 * its text. Null is refused, since no reader could distinguish it from the text "null".
 */
function checkArrival(given: PayloadObject, data: PayloadObject, sure: boolean): void {
  for (const name of Object.keys(given)) {
    const value = given[name]
    const arrives = Object.hasOwn(data, name) ? data[name] : undefined
    if (value === null && arrives !== null) {
      throw rejected(
        `field ${show(name)} is null where the schema allows text, and would arrive as the text "null"; leave it out`,
      )
    }
    // The schema has alternatives for the field, and both readings of its text may be valid.
    if (!sure && (typeof arrives === 'string') !== (typeof value === 'string')) {
      throw rejected(
        `field ${show(name)} could be text or not by the schema's alternatives; give each of them a const of its own`,
      )
    }
  }
}
