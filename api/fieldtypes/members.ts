/** How one property is read in one case: the schemas that its value must satisfy, and whether these allow text. */
import { isRecord } from '../validation/problem.ts'
import type { Case } from './cases.ts'
import type { CountedPatterns } from './countedpatterns.ts'
import type { References, SchemaObject } from './references.ts'
import { anyType, type TypeReader, type Types, typeBits } from './types.ts'

/**
 * How the text of a field is read.
 * - `Text`: as it is.
 * - `Value`: as JSON, since the schemas allow no text.
 * - `Either`: as text where the schemas accept this text, else as JSON.
 */
export type Reading =
  | { readonly kind: 'Text' | 'Value'; readonly mentioned: boolean; readonly types: Types }
  | { readonly kind: 'Either'; readonly mentioned: true; readonly types: Types; readonly schemas: readonly unknown[] }

interface MemberReader {
  reading(one: Case, name: string): Reading
  /** The values that `const` and `enum` allow for a property. Undefined: neither lists its values. */
  choices(one: Case, name: string): readonly unknown[] | undefined
}

const free: Reading = { kind: 'Text', mentioned: false, types: anyType }

export function createMemberReader(
  { typesOf, takesEveryText }: TypeReader,
  references: References,
  matches: CountedPatterns,
): MemberReader {
  const named = (schema: SchemaObject, name: string): unknown[] => {
    const { properties, patternProperties, additionalProperties } = schema
    const found: unknown[] = []
    if (isRecord(properties) && Object.hasOwn(properties, name)) found.push(properties[name])
    if (isRecord(patternProperties)) {
      for (const [pattern, member] of Object.entries(patternProperties)) if (matches(pattern, name)) found.push(member)
    }
    if (found.length === 0 && additionalProperties !== undefined) found.push(additionalProperties)
    return found
  }

  const schemasOf = (one: Case, name: string): unknown[] => {
    const found = one.schemas.flatMap((schema) => named(schema, name))
    if (found.length > 0) return found
    return one.schemas.flatMap(({ unevaluatedProperties: rest }) => (rest === undefined ? [] : [rest]))
  }

  return {
    reading(one, name) {
      const schemas = schemasOf(one, name)
      if (one.without.includes(name)) return { kind: 'Text', mentioned: true, types: 0 }
      if (schemas.length === 0) return free
      const types = schemas.reduce<Types>((all, schema) => all & typesOf(schema), anyType)
      const mentioned = true
      if ((types & typeBits.string) === 0) return { kind: types === 0 ? 'Text' : 'Value', mentioned, types }
      if (types === typeBits.string || schemas.every(takesEveryText)) return { kind: 'Text', mentioned, types }
      return { kind: 'Either', mentioned, types, schemas }
    },
    choices(one, name) {
      for (const schema of schemasOf(one, name)) {
        const found = listed(schema, references)
        if (found !== undefined) return found
      }
      return undefined
    },
  }
}

const longestChain = 10

function listed(start: unknown, references: References): readonly unknown[] | undefined {
  let schema = start
  for (let step = 0; step < longestChain && isRecord(schema); step++) {
    if (schema['const'] !== undefined) return [schema['const']]
    if (Array.isArray(schema['enum'])) return schema['enum']
    schema = references.target(schema, '$ref')
  }
  return undefined
}

export function requiredOf(one: Case): readonly string[] {
  return one.schemas.flatMap(({ required }) =>
    Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [],
  )
}

/** Property names that the `properties` of the case declare. */
export function namesOf(one: Case): readonly string[] {
  return [...new Set(one.schemas.flatMap(({ properties }) => (isRecord(properties) ? Object.keys(properties) : [])))]
}
