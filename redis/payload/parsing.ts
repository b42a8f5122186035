/** From the texts of an entry to a payload object and the texts of its key, before validation. */
import type { CompiledPayload } from '../../api/compiled.ts'
import { BudgetSpent } from '../../api/jsonschema/budget.ts'
import { describeViolation, tooCostly } from '../../api/jsonschema/verdict.ts'
import type { DeadLetterReason } from '../record.ts'
import { type Coercion, createCoercion } from './coercion.ts'
import { type EntryFields, show } from './fields.ts'
import { canonicalJson } from './idempotency.ts'
import { parseExactly } from './json.ts'

export type PayloadObject = Readonly<Record<string, unknown>>

/** The entry becomes a dead letter, for this reason. */
export class Refusal extends Error {
  readonly reason: DeadLetterReason
  constructor(reason: DeadLetterReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/** A payload before validation. */
export interface Parsed {
  readonly data: PayloadObject
  /** Other readings of the same text. */
  readonly others: (() => Iterable<PayloadObject>) | undefined
  /** The text of a key's field. `Nothing`: null. Undefined: the field is absent. */
  readonly keyText: (name: string, data: PayloadObject) => string | typeof nothing | undefined
  /** The whole payload, for a key without fields. */
  readonly whole: (data: PayloadObject) => string
}

const nothing = Symbol('null')

export function createParser(payload: CompiledPayload): (entry: EntryFields) => Parsed {
  return payload.encoding === 'Fields' ? createFieldsParser(payload) : createJsonParser(payload)
}

function createFieldsParser(payload: CompiledPayload): (entry: EntryFields) => Parsed {
  const coerce: Coercion = createCoercion(payload.schema)
  return (entry) => {
    const { names, texts } = entry
    const { data, others } = interpreted(coerce, entry)
    const pairs = () => names.map((name, index) => [name, texts[index]] as const)
    return {
      data,
      others,
      keyText: (name, chosen) => (chosen[name] === null && Object.hasOwn(chosen, name) ? nothing : texts[names.indexOf(name)]),
      whole: () => JSON.stringify(pairs().sort(([a], [b]) => (a < b ? -1 : 1))),
    }
  }
}

function interpreted(coerce: Coercion, entry: EntryFields): ReturnType<Coercion> {
  try {
    return coerce(entry)
  } catch (thrown) {
    if (thrown instanceof BudgetSpent) throw new Refusal('SchemaViolation', describeViolation(tooCostly))
    throw thrown
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
export function keyValues(
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
