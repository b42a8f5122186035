/**
 * Whether a text satisfies a schema. The question arises where a field may be text or another type, as in `anyOf: [{format: email}, {type:
 * integer}]`. Few keywords apply to a text, and none of them judges a part of it. Each schema is therefore judged at most once per
 * text: the cost is linear in the schema's size.
 */
import ajvFormats from 'ajv-formats'
import { isRecord } from '../validation/problem.ts'
import type { CountedPatterns } from './countedpatterns.ts'
import type { References, SchemaObject } from './references.ts'
import { deepest } from './types.ts'

type Acceptance = (schema: unknown, text: string) => boolean

/** Longer texts match no format: the patterns of some formats take quadratic time. */
const longestFormatted = 2_048

export function createAcceptance(references: References, matches: CountedPatterns): Acceptance {
  return (start, text) => {
    const judged = new Map<SchemaObject, boolean>()
    let depth = 0

    const accepts = (schema: unknown): boolean => {
      if (!isRecord(schema)) return schema !== false
      const known = judged.get(schema)
      if (known !== undefined) return known
      // Holds while the schema is judged: a schema that leads back to itself adds no constraint by that.
      judged.set(schema, true)
      depth += 1
      const verdict = depth > deepest || (plain(schema) && applied(schema))
      depth -= 1
      judged.set(schema, verdict)
      return verdict
    }

    const plain = (schema: SchemaObject): boolean => {
      const { type, enum: choices, pattern, format, minLength, maxLength } = schema
      if (type !== undefined && type !== 'string' && !(Array.isArray(type) && type.includes('string'))) return false
      if (Array.isArray(choices) && !choices.includes(text)) return false
      if (schema['const'] !== undefined && schema['const'] !== text) return false
      if (typeof minLength === 'number' && lengthOf(text) < minLength) return false
      if (typeof maxLength === 'number' && text.length > maxLength && lengthOf(text) > maxLength) return false
      if (typeof pattern === 'string' && !matches(pattern, text)) return false
      return typeof format !== 'string' || hasFormat(format, text)
    }

    const applied = (schema: SchemaObject): boolean => {
      const { allOf, anyOf, oneOf } = schema
      for (const keyword of ['$ref', '$dynamicRef'] as const) {
        if (schema[keyword] !== undefined && !accepts(references.target(schema, keyword))) return false
      }
      if (Array.isArray(allOf) && !allOf.every(accepts)) return false
      if (Array.isArray(anyOf) && !anyOf.some(accepts)) return false
      if (Array.isArray(oneOf) && oneOf.filter(accepts).length !== 1) return false
      if (schema['not'] !== undefined && accepts(schema['not'])) return false
      return schema['if'] === undefined || accepts(schema[accepts(schema['if']) ? 'then' : 'else'] ?? true)
    }

    return accepts(start)
  }
}

/** In characters, as JSON Schema counts. */
function lengthOf(text: string): number {
  let length = 0
  for (const _ of text) length += 1
  return length
}

const formats: Readonly<Record<string, unknown>> = Object.fromEntries(
  ['date', 'time', 'date-time', 'iso-time', 'iso-date-time', 'duration', 'uri', 'uri-reference', 'uri-template', 'url', 'email']
    .concat([
      'hostname',
      'ipv4',
      'ipv6',
      'regex',
      'uuid',
      'json-pointer',
      'json-pointer-uri-fragment',
      'relative-json-pointer',
      'byte',
    ])
    .map((name) => [name, ajvFormats.default.get(name as Parameters<typeof ajvFormats.default.get>[0])]),
)

function hasFormat(name: string, text: string): boolean {
  const format = Object.hasOwn(formats, name) ? formats[name] : undefined
  if (text.length > longestFormatted) return format === undefined
  const check = isRecord(format) && !(format instanceof RegExp) ? format['validate'] : format
  if (check instanceof RegExp) return check.test(text)
  return typeof check === 'function' ? check(text) === true : true
}
