/**
 * Between a stream entry and a payload. One codec serves both sides: the dispatcher encodes and then decodes what it encoded,
 * so that a payload sent Direct makes the same round trip through strings, and gets the same key, as one that went through
 * the stream (`1` and `"1"` differed otherwise).
 *
 * Some fields are no payload, and are removed before validation. These are `traceparent` and `tracestate` (W3C Trace Context), names with
 * the prefix `sp-` (this product's own, such as `sp-redrives`), and fields that the resource ignores or keeps as metadata.
 */
import type { CompiledAllow, CompiledPayload } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { printable } from '../../api/printable.ts'
import type { DeadLetterReason } from '../record.ts'
import { type Coercion, createCoercion } from './coercion.ts'
import { createEncoder } from './encoding.ts'
import {
  createFieldReader,
  createFieldSorter,
  type EntryFields,
  type Envelope,
  isReserved,
  type Metadata,
  show,
  type Trace,
  textOf,
  Unreadable,
} from './fields.ts'
import { canonicalJson, givenKeyHash, keyHash } from './idempotency.ts'
import { parseExactly } from './json.ts'
import { type Asked, bringsKey, type Derived, derivedFrom, readRequest } from './request.ts'
import { createValidator } from './validator.ts'

type PayloadObject = Readonly<Record<string, unknown>>

interface Valid {
  readonly kind: 'Valid'
  readonly data: PayloadObject
  /** Hash of the idempotency key. */
  readonly hash: string
  readonly trace: Trace
  /** The metadata that the resource keeps beside the payload. */
  readonly metadata?: Metadata
  /** What the request sets for its job. Undefined: nothing. */
  readonly asked?: Asked
  readonly redrives: number
}

/** Sure: the first reading of the text was valid, and no other was tried. */
type Judged = Valid & { readonly sure: boolean }

interface Invalid {
  readonly kind: 'Invalid'
  readonly reason: DeadLetterReason
  readonly error: string
  readonly redrives: number
}

type Decoded = Valid | Invalid

export interface Codec {
  /** @param flat field, value, …, as Redis replies them */
  decode(flat: readonly Buffer[]): Decoded
  /**
   * Flat field, value, … in a deterministic order. Throws PayloadRejected, naming the field.
   * @param options fields that carry options of the request (request.ts)
   */
  encode(payload: object, trace?: Trace, options?: readonly string[]): string[]
  /** The same fields for data that came out of an entry, whatever the schema says of it by now. */
  restore(data: object): string[]
  /** Hash of the idempotency key of data that came out of an entry, whatever the schema says of it; undefined where it has no key. */
  hashOf(data: object): string | undefined
}

class Refusal extends Error {
  readonly reason: DeadLetterReason
  constructor(reason: DeadLetterReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/** A payload before validation. */
interface Parsed {
  readonly data: PayloadObject
  /** Other readings of the same text. */
  readonly others: (() => Iterable<PayloadObject>) | undefined
  /** The text of a key's field. `Nothing`: null. Undefined: the field is absent. */
  readonly keyText: (name: string, data: PayloadObject) => string | typeof nothing | undefined
  /** The whole payload, for a key without fields. */
  readonly whole: (data: PayloadObject) => string
}

const nothing = Symbol('null')

/** @param allow what requests may set; undefined: nothing */
export function createCodec(payload: CompiledPayload, allow?: CompiledAllow): Codec {
  const parse = payload.encoding === 'Fields' ? createFieldsParser(payload) : createJsonParser(payload)
  const violation = createValidator(payload.schema)
  const encoder = createEncoder(payload)
  const sort = createFieldSorter(payload)
  const read = createFieldReader(sort)
  const { nameFrom, delayFrom, priorityFrom } = payload
  const takesFromPayload = [nameFrom, delayFrom, priorityFrom].some((field) => field !== undefined)

  /** The first further reading that the schema accepts. */
  const searched = ({ others }: Parsed, broken: string): PayloadObject => {
    for (const other of others?.() ?? []) if (violation(other) === undefined) return other
    throw new Refusal('SchemaViolation', broken)
  }

  const judge = (envelope: Envelope): Judged => {
    checkSize(payload, envelope)
    const fields = envelope.fields()
    const parsed = parse(fields)
    const broken = violation(parsed.data)
    const data = broken === undefined ? parsed.data : searched(parsed, broken)
    const derived = takesFromPayload ? derivedFrom(payload, data) : []
    const asked = envelope.options === undefined && derived.length === 0 ? undefined : askedIn(envelope.options, allow, derived)
    const hash = asked?.key === undefined ? keyHash(keyValues(payload, parsed, data)) : givenKeyHash(asked.key)
    const { redrives, trace } = envelope
    const { metadata } = fields
    const judged = { kind: 'Valid', data, hash, trace, redrives, sure: broken === undefined } as const
    if (metadata === undefined && asked === undefined) return judged
    return { ...judged, ...(metadata === undefined ? {} : { metadata }), ...(asked === undefined ? {} : { asked }) }
  }

  const decode = (flat: readonly Buffer[]): Judged | Invalid => {
    const envelope = read(flat)
    const { redrives } = envelope
    try {
      return judge(envelope)
    } catch (thrown) {
      if (thrown instanceof Refusal) return { kind: 'Invalid', reason: thrown.reason, error: printable(thrown.message), redrives }
      if (thrown instanceof Unreadable)
        return { kind: 'Invalid', reason: 'InvalidPayload', error: printable(thrown.message), redrives }
      throw thrown
    }
  }

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

  const encode = (given: object, trace: Trace = {}, options: readonly string[] = []) => {
    const plain = encoder.plain(given)
    checkNames(plain)
    if (!bringsKey(options)) checkKey(payload, plain)
    const tried = (members: readonly [string, string][]) => {
      const flat = members.flat()
      if (trace.traceparent !== undefined) flat.push('traceparent', trace.traceparent)
      if (trace.tracestate !== undefined) flat.push('tracestate', trace.tracestate)
      flat.push(...options)
      return { flat, checked: decode(flat.map((text) => Buffer.from(text))) }
    }
    const first = tried(encoder.members(plain))
    const other = first.checked.kind === 'Invalid' ? encoder.spelledOut(plain) : undefined
    const second = other && tried(other)
    const { flat, checked } = second?.checked.kind === 'Valid' ? second : first
    if (checked.kind === 'Invalid') throw rejected(`${checked.reason}: ${checked.error}`)
    if (payload.encoding === 'Fields') checkTold(plain, checked.data, checked.sure)
    return flat
  }

  const restore = (data: object) => {
    const plain = encoder.plain(data)
    return (encoder.spelledOut(plain) ?? encoder.members(plain)).flat()
  }

  return {
    decode,
    encode,
    restore,
    hashOf(data) {
      try {
        const parsed = parse(read(restore(data).map((text) => Buffer.from(text))).fields())
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

const rejected = (detail: string) => failure('PayloadRejected', { detail })

function createFieldsParser(payload: CompiledPayload): (entry: EntryFields) => Parsed {
  const coerce: Coercion = createCoercion(payload.schema)
  return (entry) => {
    const { names, texts } = entry
    const { data, others } = coerce(entry)
    const pairs = () => names.map((name, index) => [name, texts[index]] as const)
    return {
      data,
      others,
      keyText: (name, chosen) => (chosen[name] === null && Object.hasOwn(chosen, name) ? nothing : texts[names.indexOf(name)]),
      whole: () => JSON.stringify(pairs().sort(([a], [b]) => (a < b ? -1 : 1))),
    }
  }
}

function createJsonParser(payload: CompiledPayload): (entry: EntryFields) => Parsed {
  const { field } = payload
  return ({ names, texts }) => {
    const index = names.indexOf(field)
    if (index === -1) throw new Refusal('InvalidPayload', `field ${show(field)}, which holds the payload, is missing`)
    if (names.length > 1) {
      const other = names.find((name) => name !== field)
      const why =
        other === undefined
          ? 'occurs twice'
          : `is beside the payload in ${show(field)}; name it in payload.ignoreFields or metadataFields where it may be`
      throw new Refusal('InvalidPayload', `field ${show(other ?? field)} ${why}`)
    }
    return {
      data: parseObject(texts[index] ?? '', field),
      others: undefined,
      keyText: (name, data) => {
        const value = Object.hasOwn(data, name) ? data[name] : undefined
        if (value === null) return nothing
        return value === undefined || typeof value === 'string' ? value : canonicalJson(value)
      },
      whole: canonicalJson,
    }
  }
}

function checkSize(payload: CompiledPayload, { bytes, count }: Envelope) {
  if (bytes > payload.maxBytes)
    throw new Refusal('PayloadTooLarge', `${bytes} bytes are more than payload.maxBytes ${payload.maxBytes}`)
  if (count > payload.maxFields) {
    throw new Refusal('TooManyFields', `${count} fields are more than payload.maxFields ${payload.maxFields}`)
  }
}

function parseObject(text: string, field: string): PayloadObject {
  const parsed = parseExactly(text)
  if (parsed.kind !== 'Value') throw new Refusal('InvalidPayload', `field ${show(field)} ${parsed.why}`)
  const { value } = parsed
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal(
      'InvalidPayload',
      `field ${show(field)} holds ${Array.isArray(value) ? 'a list' : typeof value}, not a JSON object`,
    )
  }
  return value as PayloadObject
}

/** @param forNull replaces null, for jobs of earlier releases, which accepted null as a key */
function keyValues(
  { idempotencyKey, allowEmptyKey }: CompiledPayload,
  { keyText, whole }: Parsed,
  data: PayloadObject,
  forNull?: string,
): string[] {
  if (idempotencyKey === undefined) return [whole(data)]
  return idempotencyKey.map((name) => {
    const text = keyText(name, data)
    if (text === undefined) throw noKey(name, 'is missing')
    if (text === '' && allowEmptyKey !== true) throw noKey(name, 'is empty, and payload.allowEmptyKey is not set')
    if (text !== nothing) return text
    if (forNull === undefined) throw noKey(name, 'is null')
    return forNull
  })
}

const noKey = (name: string, why: string) => new Refusal('InvalidPayload', `field ${show(name)} of the idempotency key ${why}`)

/** Under Fields null becomes a text, which might be a key. So the original value is examined. */
function checkKey({ idempotencyKey = [] }: CompiledPayload, plain: PayloadObject): void {
  const name = idempotencyKey.find((field) => Object.hasOwn(plain, field) && plain[field] === null)
  if (name !== undefined) throw rejected(`InvalidPayload: field ${show(name)} of the idempotency key is null`)
}

/**
 * Whether a worker receives the given payload unchanged. A number, boolean, list or object where the schema allows text arrives as its
 * text, as before. Null is refused, since no reader could distinguish it from the text "null".
 */
function checkTold(given: PayloadObject, data: PayloadObject, sure: boolean): void {
  for (const [name, value] of Object.entries(given)) {
    const arrives = Object.hasOwn(data, name) ? data[name] : undefined
    if (value === null && arrives !== null) {
      throw rejected(
        `field ${show(name)} is null where the schema allows text, and would arrive as the text "null"; leave it out`,
      )
    }
    // The field was read among alternatives, of which two readings may both be valid.
    if (!sure && (typeof arrives === 'string') !== (typeof value === 'string')) {
      throw rejected(
        `field ${show(name)} could be text or not by the schema's alternatives; give each of them a const of its own`,
      )
    }
  }
}
