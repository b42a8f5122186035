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
import type { DeadLetterReason } from '../deadletters.ts'
import { createCoercion } from './coercion.ts'
import { canonicalJson, keyHash } from './idempotency.ts'
import { parseExactly } from './json.ts'
import { createValidator } from './validator.ts'

export type PayloadObject = Readonly<Record<string, unknown>>

export type Decoded =
  | {
      readonly kind: 'Valid'
      readonly data: PayloadObject
      /** Hash of the idempotency key. */
      readonly hash: string
      readonly trace: Trace
      readonly redrives: number
    }
  | { readonly kind: 'Invalid'; readonly reason: DeadLetterReason; readonly error: string; readonly redrives: number }

/** W3C Trace Context as it travelled with the entry. */
export interface Trace {
  readonly traceparent?: string
  readonly tracestate?: string
}

export interface Codec {
  /** @param flat field, value, …, as Redis replies them */
  decode(flat: readonly Buffer[]): Decoded
  /** Flat field, value, … in a deterministic order. Throws PayloadRejected, naming the field. */
  encode(payload: object, trace?: Trace): string[]
  /** The same fields for data that came out of an entry, whatever the schema says of it by now. */
  restore(data: object): string[]
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

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

  const decodeFields = (fields: ReadonlyMap<string, string>) => {
    const data = Object.fromEntries([...fields].map(([name, value]) => [name, coerce(name, value)]))
    const keyText = (name: string) => fields.get(name)
    const whole = () => JSON.stringify([...fields].sort(([a], [b]) => (a < b ? -1 : 1)))
    return { data, keyText, whole }
  }

  const decodeJson = (fields: ReadonlyMap<string, string>) => {
    const text = fields.get(payload.field)
    if (text === undefined)
      throw new Refusal('InvalidPayload', `field ${show(payload.field)}, which holds the payload, is missing`)
    const other = [...fields.keys()].find((name) => name !== payload.field)
    if (other !== undefined)
      throw new Refusal('InvalidPayload', `field ${show(other)} is beside the payload in ${show(payload.field)}`)
    const data = parseObject(text, payload.field)
    const keyText = (name: string) => {
      const value = Object.hasOwn(data, name) ? data[name] : undefined
      if (value === undefined || value === null) return undefined
      return typeof value === 'string' ? value : canonicalJson(value)
    }
    return { data, keyText, whole: () => canonicalJson(data) }
  }

  const decode = (flat: readonly Buffer[]): Decoded => {
    let redrives = 0
    try {
      const raw = split(flat)
      redrives = raw.redrives
      checkSize(payload, flat, raw.own)
      const fields = textFields(raw.own)
      const { data, keyText, whole } = payload.encoding === 'Fields' ? decodeFields(fields) : decodeJson(fields)
      const broken = violation(data)
      if (broken !== undefined) throw new Refusal('SchemaViolation', broken)
      return { kind: 'Valid', data, hash: keyHash(keyValues(payload, keyText, whole)), trace: raw.trace, redrives }
    } catch (thrown) {
      if (thrown instanceof Refusal) return { kind: 'Invalid', reason: thrown.reason, error: thrown.message, redrives }
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
  }
}

type RawFields = ReadonlyArray<readonly [Buffer, Buffer]>

/** Takes off what is not payload. */
function split(flat: readonly Buffer[]): { own: RawFields; trace: Trace; redrives: number } {
  const own: [Buffer, Buffer][] = []
  const trace: { traceparent?: string; tracestate?: string } = {}
  let redrives = 0
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const [name, value] = [flat[i] ?? empty, flat[i + 1] ?? empty]
    const text = name.toString('latin1')
    if (text === 'traceparent' || text === 'tracestate') trace[text] = value.toString('latin1')
    else if (text === 'sp-redrives') redrives = countOf(value)
    else if (!text.startsWith('sp-')) own.push([name, value])
  }
  return { own, trace, redrives }
}

const empty = Buffer.alloc(0)

/** A producer may write anything there; more than nine digits is no count. */
function countOf(value: Buffer): number {
  const text = value.length <= 9 ? value.toString('latin1') : ''
  return /^\d+$/.test(text) ? Number(text) : 0
}

function checkSize(payload: CompiledPayload, flat: readonly Buffer[], own: RawFields) {
  const bytes = flat.reduce((sum, part) => sum + part.length, 0)
  if (bytes > payload.maxBytes)
    throw new Refusal('PayloadTooLarge', `${bytes} bytes are more than payload.maxBytes ${payload.maxBytes}`)
  if (own.length > payload.maxFields) {
    throw new Refusal('TooManyFields', `${own.length} fields are more than payload.maxFields ${payload.maxFields}`)
  }
}

function textFields(own: RawFields): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const [rawName, rawValue] of own) {
    const name = decodeText(rawName, 'a field name')
    if (fields.has(name)) throw new Refusal('InvalidPayload', `field ${show(name)} occurs twice`)
    fields.set(name, decodeText(rawValue, `field ${show(name)}`))
  }
  return fields
}

function decodeText(bytes: Buffer, what: string): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new Refusal('InvalidPayload', `${what} is not UTF-8 text`)
  }
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

const isReserved = (name: string) => name.startsWith('sp-') || name === 'traceparent' || name === 'tracestate'

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

/** A name from outside, safe in a one-line message. */
function show(name: string): string {
  const text = JSON.stringify(name)
  return text.length > 80 ? `${text.slice(0, 79)}…"` : text
}
