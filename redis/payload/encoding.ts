/**
 * A payload as the fields of a stream entry, in a deterministic order. JavaScript spells large numbers with zeros in place of digits
 * (`72057594037927940` for 2^56). A reader must take these for integers that no double holds. So where an entry in JavaScript's spelling is
 * refused, the numbers are written out.
 */
import type { CompiledPayload } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { show } from './fields.ts'
import { spelled } from './numbers.ts'

type PayloadObject = Readonly<Record<string, unknown>>

export interface Encoder {
  /** The payload as a worker sees it: with `toJSON` applied and without values that JSON drops. Throws PayloadRejected. */
  plain(given: object): PayloadObject
  /** Field and text, one pair per member or one for the document. */
  members(plain: PayloadObject): [string, string][]
  /** The same with large numbers written out. Undefined: there are none. */
  spelledOut(plain: PayloadObject): [string, string][] | undefined
}

export function createEncoder({ encoding, field, schema }: CompiledPayload): Encoder {
  const order = schemaOrder(schema)
  const rank = (name: string) => order.get(name) ?? order.size
  const members = (data: PayloadObject, write: (value: unknown) => string): [string, string][] => {
    if (encoding === 'Json') return [[field, write(data)]]
    return Object.entries(data)
      .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
      .map(([name, value]) => [name, typeof value === 'string' ? value : write(value)])
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
