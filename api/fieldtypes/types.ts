/**
 * The JSON types that a schema allows. Every field of a stream entry is text, and a text has at most one other reading: `7` is the number,
 * `null` is null, `{…` an object. Two facts about a field therefore suffice: whether it may be text, and whether it may have the other
 * reading.
 */
import { isRecord } from '../validation/problem.ts'
import type { References, SchemaObject } from './references.ts'

/** A set of JSON types. */
export type Types = number

export const typeBits = { string: 1, number: 2, integer: 2, boolean: 4, null: 8, object: 16, array: 32 } as const
export const anyType: Types = 63

function typeOf(value: unknown): Types {
  if (value === null) return typeBits.null
  if (Array.isArray(value)) return typeBits.array
  const name = typeof value
  return name === 'string' || name === 'number' || name === 'boolean' || name === 'object' ? typeBits[name] : 0
}

/** Deeper levels count as no constraint: a chain of references must not exhaust the stack. */
export const deepest = 200

export interface TypeReader {
  /** The types that a value of this schema may have. In doubt a type is included. */
  typesOf(schema: unknown): Types
  /** Whether every text satisfies the schema. In doubt it is false. */
  takesEveryText(schema: unknown): boolean
}

export function createTypeReader(references: References): TypeReader {
  const types = new Map<SchemaObject, Types>()
  const every = new Map<SchemaObject, boolean>()
  let depth = 0
  const union = (schemas: unknown) =>
    Array.isArray(schemas) ? schemas.reduce<Types>((all, one) => all | typesOf(one), 0) : anyType

  function typesOf(schema: unknown): Types {
    if (schema === false) return 0
    if (!isRecord(schema)) return anyType
    const known = types.get(schema)
    if (known !== undefined) return known
    // Holds while the schema is read: a schema that leads back to itself adds no constraint by that.
    types.set(schema, anyType)
    depth += 1
    const found = depth > deepest ? anyType : read(schema)
    depth -= 1
    types.set(schema, found)
    return found
  }

  function read(schema: SchemaObject): Types {
    let found: Types = declared(schema)
    for (const keyword of ['$ref', '$dynamicRef'] as const) {
      if (schema[keyword] !== undefined) found &= typesOf(references.target(schema, keyword))
    }
    if (Array.isArray(schema['allOf'])) for (const part of schema['allOf']) found &= typesOf(part)
    if (schema['anyOf'] !== undefined) found &= union(schema['anyOf'])
    if (schema['oneOf'] !== undefined) found &= union(schema['oneOf'])
    if (schema['if'] !== undefined) {
      const met = typesOf(schema['if']) & typesOf(schema['then'] ?? true)
      found &= met | typesOf(schema['else'] ?? true)
    }
    return found & ~excluded(schema['not'])
  }

  function takesEveryText(schema: unknown): boolean {
    if (schema === true) return true
    if (!isRecord(schema)) return false
    const known = every.get(schema)
    if (known !== undefined) return known
    every.set(schema, false)
    depth += 1
    const found = depth <= deepest && readEvery(schema)
    depth -= 1
    every.set(schema, found)
    return found
  }

  function readEvery(schema: SchemaObject): boolean {
    if ((declared(schema) & typeBits.string) === 0 || textKeywords.some((keyword) => schema[keyword] !== undefined)) return false
    const { allOf, anyOf, oneOf } = schema
    for (const keyword of ['$ref', '$dynamicRef'] as const) {
      if (schema[keyword] !== undefined && !takesEveryText(references.target(schema, keyword))) return false
    }
    if (Array.isArray(allOf) && !allOf.every(takesEveryText)) return false
    if (Array.isArray(anyOf) && !anyOf.some(takesEveryText)) return false
    if (Array.isArray(oneOf)) {
      const textual = oneOf.filter((choice) => (typesOf(choice) & typeBits.string) !== 0)
      if (textual.length !== 1 || !takesEveryText(textual[0])) return false
    }
    return schema['if'] === undefined || (takesEveryText(schema['then'] ?? true) && takesEveryText(schema['else'] ?? true))
  }

  return { typesOf, takesEveryText }
}

/** Keywords that some texts violate. */
const textKeywords = ['enum', 'const', 'pattern', 'format', 'minLength', 'maxLength', 'not']

/** The types by `type`, `enum` and `const`. */
function declared(schema: SchemaObject): Types {
  const { type, enum: choices } = schema
  let found = anyType
  if (typeof type === 'string') found &= named(type)
  if (Array.isArray(type)) found &= type.reduce<Types>((all, one) => all | named(one), 0)
  if (Array.isArray(choices)) found &= choices.reduce<Types>((all, one) => all | typeOf(one), 0)
  if (schema['const'] !== undefined) found &= typeOf(schema['const'])
  return found
}

function named(type: unknown): Types {
  return typeof type === 'string' && Object.hasOwn(typeBits, type) ? typeBits[type as keyof typeof typeBits] : 0
}

/** `not: {type: string}`. Any other `not` excludes values, not types. Excluding `integer` does not exclude other numbers. */
function excluded(schema: unknown): Types {
  if (!isRecord(schema) || Object.keys(schema).length !== 1 || schema['type'] === undefined) return 0
  const { type } = schema
  const list: unknown[] = Array.isArray(type) ? type : [type]
  return list.filter((name) => name !== 'integer').reduce<Types>((all, name) => all | named(name), 0)
}
