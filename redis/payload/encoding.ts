/**
 * A payload as the fields of a stream entry, in a deterministic order. JavaScript spells large numbers with zeros in place of digits
 * (`72057594037927940` for 2^56). A reader must take these for integers that no double holds. So where an entry in JavaScript's spelling is
 * refused, the numbers are written out.
 */
import type { CompiledPayload } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { spelled } from '../../api/heldnumbers.ts'
import { show } from './fields.ts'

type PayloadObject = Readonly<Record<string, unknown>>

interface Encoder {
  /** The payload as a worker sees it: with `toJSON` applied and without values that JSON drops. Throws PayloadRejected. */
  plain(given: object): PayloadObject
  /** Field, text, …: one pair per member or one for the document. */
  members(plain: PayloadObject): string[]
  /** The same with large numbers written out. Undefined: there are none. */
  spelledOut(plain: PayloadObject): string[] | undefined
}

export function createEncoder({ encoding, field, schema }: CompiledPayload): Encoder {
  const inOrder = createOrdering(schemaOrder(schema))
  const members = (data: PayloadObject, write: (value: unknown) => string): string[] => {
    if (encoding === 'Json') return [field, write(data)]
    const flat: string[] = []
    for (const name of inOrder(Object.keys(data))) {
      const value = data[name]
      flat.push(name, typeof value === 'string' ? value : write(value))
    }
    return flat
  }
  return {
    plain,
    members: (data) => members(data, JSON.stringify),
    spelledOut: (data) => (largeNumber.test(JSON.stringify(data)) ? members(data, spellOut) : undefined),
  }
}

function schemaOrder(schema: CompiledPayload['schema']): ReadonlyMap<string, number> {
  const properties = schema?.['properties']
  const names = typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
  return new Map(names.map((name, index) => [name, index]))
}

/** Sorts names: those of the schema in its order, others behind them. Payloads repeat their names, so it remembers the last ones. */
function createOrdering(order: ReadonlyMap<string, number>): (names: readonly string[]) => readonly string[] {
  const rank = (name: string) => order.get(name) ?? order.size
  let last: { readonly given: readonly string[]; readonly sorted: readonly string[] } = { given: [], sorted: [] }
  return (given) => {
    if (areSame(last.given, given)) return last.sorted
    const sorted = given.toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    last = { given, sorted }
    return sorted
  }
}

function areSame(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false
  for (let at = 0; at < some.length; at++) if (some[at] !== others[at]) return false
  return true
}

/** Only sixteen digits in a row, or an exponent after a digit, can be a number to write out. */
const largeNumber = /[0-9]{16}|[0-9]e\+/

function spellOut(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'number' ? (JSON as unknown as RawJson).rawJSON(spelled(member)) : member,
  )
}

/** Part of ECMAScript 2026. Node has it since 22, TypeScript's library not yet. */
interface RawJson {
  rawJSON(text: string): unknown
}

function plain(given: object): PayloadObject {
  return flatCopy(given) ?? throughJson(given)
}

/**
 * The JSON round trip of an object whose members are all texts, finite numbers and truth values: the same again. Most payloads are
 * such objects, and to copy one costs a tenth of writing and parsing it. Undefined: it is another object.
 */
function flatCopy(given: object): PayloadObject | undefined {
  if (Object.getPrototypeOf(given) !== Object.prototype || 'toJSON' in given) return undefined
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(given)) {
    const value: unknown = Reflect.get(given, name)
    // JSON writes -0 as 0. An assignment to __proto__ would make no member.
    const isSame = typeof value === 'number' ? Number.isFinite(value) && !Object.is(value, -0) : isPlain(value)
    if (!isSame || name === '__proto__') return undefined
    copy[name] = value
  }
  return copy
}

const isPlain = (value: unknown) => typeof value === 'string' || typeof value === 'boolean'

function throughJson(given: object): PayloadObject {
  let text: string | undefined
  let lost: string | undefined
  try {
    text = JSON.stringify(given)
    // JSON writes null for NaN and the infinities, so a worker would receive no number.
    if (text?.includes('null') === true) {
      JSON.stringify(given, (name, member: unknown) => {
        if (typeof member === 'number' && !Number.isFinite(member)) lost ??= name
        return member
      })
    }
  } catch (thrown) {
    const detail = `it cannot be written as JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    throw failure('PayloadRejected', { detail }, thrown)
  }
  if (text === undefined || !text.startsWith('{')) throw failure('PayloadRejected', { detail: 'it is not an object' })
  if (lost !== undefined) {
    throw failure('PayloadRejected', { detail: `${show(lost)} is NaN or infinite, which JSON has no number for; leave it out` })
  }
  return JSON.parse(text) as PayloadObject
}
