/**
 * From a stream entry to a valid payload with its idempotency key, or to the reason why it has none.
 *
 * Some fields are no payload, and are removed before validation. These are `traceparent` and `tracestate` (W3C Trace Context), names with
 * the prefix `sp-` (this product's own, such as `sp-redrives`), and fields that the resource ignores or keeps as metadata.
 */
import type { CompiledAllow, CompiledPayload } from '../../api/compiled.ts'
import { printable } from '../../api/printable.ts'
import type { DeadLetterReason } from '../record.ts'
import { type FieldList, listOfBuffers } from '../reply/fieldlist.ts'
import {
  createFieldReader,
  createFieldSorter,
  type Envelope,
  type Metadata,
  show,
  type Trace,
  textOf,
  Unreadable,
} from './fields.ts'
import { givenKeyHash, keyHash } from './idempotency.ts'
import { createParser, keyValues, type Parsed, type PayloadObject, Refusal } from './parsing.ts'
import { type Asked, type Derived, derivedFrom, readRequest } from './request.ts'
import { createTextReader } from './textfields.ts'
import { createValidator } from './validator.ts'

interface Valid {
  readonly kind: 'Valid'
  readonly data: PayloadObject
  /** Hash of the idempotency key. */
  readonly hash: string
  readonly trace: Trace
  /** The metadata that the resource keeps beside the payload. */
  readonly metadata?: Metadata
  /** The options that the request sets for its job. Undefined: nothing. */
  readonly asked?: Asked
  readonly redrives: number
}

/** Before the hash of its key is made: a producer makes it while the server adds the entry. */
export interface Judged extends Omit<Valid, 'hash'> {
  readonly key: Key
  /** The first reading of the text was valid, and no other was tried. */
  readonly sure: boolean
}

type Key = { readonly kind: 'Values'; readonly values: readonly string[] } | { readonly kind: 'Given'; readonly key: string }

export const hashOfKey = (key: Key): string => (key.kind === 'Values' ? keyHash(key.values) : givenKeyHash(key.key))

interface Invalid {
  readonly kind: 'Invalid'
  readonly reason: DeadLetterReason
  readonly error: string
  readonly redrives: number
}

export type Decoded = Valid | Invalid

interface Decoder {
  /** @param entry field, value, … */
  decode(entry: Fields): Decoded
  /** The same, for a producer: without the hash, and with whether the first reading was valid. */
  judge(entry: Fields): Judged | Invalid
  /** Hash of the idempotency key of an entry, whatever the schema says of it; undefined where it has no key. */
  hashOf(entry: Fields): string | undefined
}

/** In one piece of memory, as a reading connection delivers them, or one by one. */
type Fields = FieldList | readonly Buffer[] | readonly string[]

const isList = (fields: Fields): fields is readonly Buffer[] | readonly string[] => Array.isArray(fields)
const areTexts = (fields: readonly Buffer[] | readonly string[]): fields is readonly string[] => typeof fields[0] === 'string'

/** @param allow what requests may set; undefined: nothing */
export function createDecoder(payload: CompiledPayload, allow?: CompiledAllow): Decoder {
  const parse = createParser(payload)
  const violation = createValidator(payload.schema)
  const sort = createFieldSorter(payload)
  const readBytes = createFieldReader(sort)
  const readTexts = createTextReader(sort)
  const read = (fields: Fields): Envelope => {
    if (!isList(fields)) return readBytes(fields)
    return areTexts(fields) ? readTexts(fields) : readBytes(listOfBuffers(fields))
  }
  const { nameFrom, delayFrom, priorityFrom } = payload
  const takesFromPayload = [nameFrom, delayFrom, priorityFrom].some((field) => field !== undefined)

  /** The first further reading that the schema accepts. */
  const searched = ({ others }: Parsed, broken: string): PayloadObject => {
    for (const other of others?.() ?? []) if (violation(other) === undefined) return other
    throw new Refusal('SchemaViolation', broken)
  }

  const judgedOf = (envelope: Envelope): Judged => {
    checkSize(payload, envelope)
    const fields = envelope.fields()
    const parsed = parse(fields)
    const broken = violation(parsed.data)
    const data = broken === undefined ? parsed.data : searched(parsed, broken)
    const derived = takesFromPayload ? derivedFrom(payload, data) : []
    const asked = envelope.options === undefined && derived.length === 0 ? undefined : askedIn(envelope.options, allow, derived)
    const given = asked?.key
    const key: Key =
      given === undefined ? { kind: 'Values', values: keyValues(payload, parsed, data) } : { kind: 'Given', key: given }
    const { redrives, trace } = envelope
    const { metadata } = fields
    const judged = { kind: 'Valid', data, key, trace, redrives, sure: broken === undefined } as const
    if (metadata === undefined && asked === undefined) return judged
    return { ...judged, ...(metadata === undefined ? {} : { metadata }), ...(asked === undefined ? {} : { asked }) }
  }

  function judge(entry: Fields): Judged | Invalid {
    const envelope = read(entry)
    const { redrives } = envelope
    try {
      return judgedOf(envelope)
    } catch (thrown) {
      if (thrown instanceof Refusal) return { kind: 'Invalid', reason: thrown.reason, error: printable(thrown.message), redrives }
      if (thrown instanceof Unreadable)
        return { kind: 'Invalid', reason: 'InvalidPayload', error: printable(thrown.message), redrives }
      throw thrown
    }
  }

  return {
    judge,
    decode(entry) {
      const judged = judge(entry)
      if (judged.kind === 'Invalid') return judged
      const { data, key, trace, redrives, metadata, asked } = judged
      const valid = { kind: 'Valid', data, hash: hashOfKey(key), trace, redrives } as const
      if (metadata === undefined && asked === undefined) return valid
      return { ...valid, ...(metadata === undefined ? {} : { metadata }), ...(asked === undefined ? {} : { asked }) }
    },
    hashOf(entry) {
      try {
        const parsed = parse(read(entry).fields())
        return keyHash(keyValues({ ...payload, allowEmptyKey: true }, parsed, parsed.data, 'null'))
      } catch (thrown) {
        if (thrown instanceof Refusal || thrown instanceof Unreadable) return undefined
        throw thrown
      }
    },
  }
}

/** The options of a request. Throws Refusal, naming the field. */
function askedIn(options: Envelope['options'] = [], allow: CompiledAllow | undefined, derived: readonly Derived[]): Asked {
  const read = readRequest(
    options.map(([field, value]) => [field, textOf(value, field)] as const),
    allow,
    derived,
  )
  if (read.kind === 'Asked') return read.asked
  throw new Refusal('OptionRefused', `field ${show(read.field)}: ${read.detail}`)
}

function checkSize(payload: CompiledPayload, { bytes, count }: Envelope) {
  if (bytes > payload.maxBytes)
    throw new Refusal('PayloadTooLarge', `${bytes} bytes are more than payload.maxBytes ${payload.maxBytes}`)
  if (count > payload.maxFields) {
    throw new Refusal('TooManyFields', `${count} fields are more than payload.maxFields ${payload.maxFields}`)
  }
}
