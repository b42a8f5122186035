/**
 * Between a stream entry and a payload. One codec serves both sides: the dispatcher encodes and then decodes what it encoded,
 * so that a payload sent Direct makes the same round trip through strings, and gets the same key, as one that went through
 * the stream (`1` and `"1"` differed otherwise).
 *
 * Not payload, and taken off before anything is validated: `traceparent` and `tracestate` (W3C Trace Context) and whatever
 * starts with `sp-` (this product's own, such as `sp-redrives`).
 */
import type { CompiledPayload } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { printable } from '../../api/printable.ts'
import type { DeadLetterReason } from '../record.ts'
import { createCoercion } from './coercion.ts'
import { createFieldReader, type EntryFields, type Envelope, isReserved, NotText, show, type Trace } from './fields.ts'
import { canonicalJson, keyHash } from './idempotency.ts'
import { parseExactly } from './json.ts'
import { createValidator } from './validator.ts'

type PayloadObject = Readonly<Record<string, unknown>>

type Decoded =
  | {
      readonly kind: 'Valid'
      readonly data: PayloadObject
      /** Hash of the idempotency key. */
      readonly hash: string
      readonly trace: Trace
      readonly redrives: number
    }
  | { readonly kind: 'Invalid'; readonly reason: DeadLetterReason; readonly error: string; readonly redrives: number }

export interface Codec {
  /** @param flat field, value, …, as Redis replies them */
  decode(flat: readonly Buffer[]): Decoded
  /** Flat field, value, … in a deterministic order. Throws PayloadRejected, naming the field. */
  encode(payload: object, trace?: Trace): string[]
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

export function createCodec(payload: CompiledPayload): Codec {
  const coerce = createCoercion(payload.schema)
  const violation = createValidator(payload.schema)
  const order = schemaOrder(payload.schema)

  const read = createFieldReader()

  const decodeFields = (entry: EntryFields) => {
    const data: Record<string, unknown> = {}
    for (let index = 0; index < entry.names.length; index++) {
      const name = entry.names[index] ?? ''
      if (Object.hasOwn(data, name)) throw new Refusal('InvalidPayload', `field ${show(name)} occurs twice`)
      setOwn(data, name, coerce(name, entry.texts[index] ?? ''))
    }
    const keyText = (name: string) => entry.texts[entry.names.indexOf(name)]
    const pairs = () => entry.names.map((name, index) => [name, entry.texts[index]] as const)
    return { data, keyText, whole: () => JSON.stringify(pairs().sort(([a], [b]) => (a < b ? -1 : 1))) }
  }

  const decodeJson = ({ names, texts }: EntryFields) => {
    const index = names.indexOf(payload.field)
    if (index === -1) throw new Refusal('InvalidPayload', `field ${show(payload.field)}, which holds the payload, is missing`)
    if (names.length > 1) {
      const other = names.find((name) => name !== payload.field)
      const why = other === undefined ? 'occurs twice' : `is beside the payload in ${show(payload.field)}`
      throw new Refusal('InvalidPayload', `field ${show(other ?? payload.field)} ${why}`)
    }
    const data = parseObject(texts[index] ?? '', payload.field)
    const keyText = (name: string) => {
      const value = Object.hasOwn(data, name) ? data[name] : undefined
      if (value === undefined || value === null) return undefined
      return typeof value === 'string' ? value : canonicalJson(value)
    }
    return { data, keyText, whole: () => canonicalJson(data) }
  }

  const parse = (entry: EntryFields) => (payload.encoding === 'Fields' ? decodeFields(entry) : decodeJson(entry))

  const decode = (flat: readonly Buffer[]): Decoded => {
    const envelope = read(flat)
    const { redrives, trace } = envelope
    try {
      checkSize(payload, envelope)
      const { data, keyText, whole } = parse(envelope.fields())
      const broken = violation(data)
      if (broken !== undefined) throw new Refusal('SchemaViolation', broken)
      return { kind: 'Valid', data, hash: keyHash(keyValues(payload, keyText, whole)), trace, redrives }
    } catch (thrown) {
      if (thrown instanceof Refusal) return { kind: 'Invalid', reason: thrown.reason, error: printable(thrown.message), redrives }
      if (thrown instanceof NotText)
        return { kind: 'Invalid', reason: 'InvalidPayload', error: printable(thrown.message), redrives }
      throw thrown
    }
  }

  const encode = (given: object, trace: Trace = {}) => {
    const flat: string[] = []
    for (const [name, value] of encodeMembers(payload, given, order)) {
      if (payload.encoding === 'Fields' && isReserved(name)) {
        throw failure('PayloadRejected', { detail: `field ${show(name)} has a reserved name; rename it` })
      }
      flat.push(name, value)
    }
    if (flat.length === 0) throw failure('PayloadRejected', { detail: 'it has no members, and a stream entry needs a field' })
    if (trace.traceparent !== undefined) flat.push('traceparent', trace.traceparent)
    if (trace.tracestate !== undefined) flat.push('tracestate', trace.tracestate)
    const checked = decode(flat.map((text) => Buffer.from(text)))
    if (checked.kind === 'Invalid') throw failure('PayloadRejected', { detail: `${checked.reason}: ${checked.error}` })
    return flat
  }

  return {
    decode,
    encode,
    restore: (data) => encodeMembers(payload, data, order).flat(),
    hashOf(data) {
      const flat = encodeMembers(payload, data, order).flat()
      try {
        const { keyText, whole } = parse(read(flat.map((text) => Buffer.from(text))).fields())
        return keyHash(keyValues(payload, keyText, whole))
      } catch (thrown) {
        if (thrown instanceof Refusal || thrown instanceof NotText) return undefined
        throw thrown
      }
    },
  }
}

function checkSize(payload: CompiledPayload, { bytes, count }: Envelope) {
  if (bytes > payload.maxBytes)
    throw new Refusal('PayloadTooLarge', `${bytes} bytes are more than payload.maxBytes ${payload.maxBytes}`)
  if (count > payload.maxFields) {
    throw new Refusal('TooManyFields', `${count} fields are more than payload.maxFields ${payload.maxFields}`)
  }
}

/** As an own property whatever its name: assigning `__proto__` would do something else. */
function setOwn(data: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') data[name] = value
  else Object.defineProperty(data, name, { value, writable: true, enumerable: true, configurable: true })
}

function parseObject(text: string, field: string): PayloadObject {
  const parsed = parseExactly(text)
  if (parsed.kind === 'Unfit') throw new Refusal('InvalidPayload', `field ${show(field)} ${parsed.why}`)
  const { value } = parsed
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal(
      'InvalidPayload',
      `field ${show(field)} holds ${Array.isArray(value) ? 'a list' : typeof value}, not a JSON object`,
    )
  }
  return value as PayloadObject
}

function keyValues(payload: CompiledPayload, keyText: (name: string) => string | undefined, whole: () => string): string[] {
  if (payload.idempotencyKey === undefined) return [whole()]
  return payload.idempotencyKey.map((name) => {
    const text = keyText(name)
    if (text === undefined) throw new Refusal('InvalidPayload', `field ${show(name)} of the idempotency key is missing`)
    return text
  })
}

function schemaOrder(schema: CompiledPayload['schema']): ReadonlyMap<string, number> {
  const properties = schema?.['properties']
  const names = typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
  return new Map(names.map((name, index) => [name, index]))
}

function encodeMembers(payload: CompiledPayload, given: object, order: ReadonlyMap<string, number>): [string, string][] {
  // JSON first: what has toJSON (dates) and what JSON drops (undefined) then look as they will to the worker.
  const plain = plainObject(given)
  if (payload.encoding === 'Json') return [[payload.field, JSON.stringify(plain)]]
  const rank = (name: string) => order.get(name) ?? order.size
  return Object.entries(plain)
    .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)])
}

function plainObject(given: object): PayloadObject {
  let text: string | undefined
  try {
    text = JSON.stringify(given)
  } catch (thrown) {
    const detail = `it cannot be written as JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    throw failure('PayloadRejected', { detail }, thrown)
  }
  if (text === undefined || !text.startsWith('{')) throw failure('PayloadRejected', { detail: 'it is not an object' })
  return JSON.parse(text) as PayloadObject
}
