/**
 * Text to typed value, for payloads whose fields are the stream entry's own fields: Redis carries only strings, the schema says
 * what they stand for. Only what the schema asks for is coerced, and only when nothing is lost; anything else stays text and
 * is left to validation to refuse.
 */
import { parseExactly } from './json.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/** Coerces by the types the top-level property declares. */
type Coercion = (field: string, text: string) => unknown

export function createCoercion(schema: JsonSchema | undefined): Coercion {
  const properties = schema?.['properties']
  const types = new Map<string, ReadonlySet<string>>()
  if (isRecord(properties)) {
    for (const [name, property] of Object.entries(properties)) if (isRecord(property)) types.set(name, typesOf(property))
  }
  return (field, text) => {
    const wanted = types.get(field)
    return wanted === undefined || wanted.has('string') ? text : coerce(text, wanted)
  }
}

function typesOf(property: JsonSchema): ReadonlySet<string> {
  const type = property['type']
  if (typeof type === 'string') return new Set([type])
  if (Array.isArray(type)) return new Set(type.map(String))
  const choices = Array.isArray(property['enum']) ? property['enum'] : 'const' in property ? [property['const']] : []
  return new Set(choices.map(jsonType))
}

function jsonType(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

function coerce(text: string, wanted: ReadonlySet<string>): unknown {
  if ((wanted.has('integer') || wanted.has('number')) && isLosslessNumber(text)) return Number(text)
  if (wanted.has('boolean') && (text === 'true' || text === 'false')) return text === 'true'
  if (wanted.has('null') && text === 'null') return null
  if ((wanted.has('object') && text.startsWith('{')) || (wanted.has('array') && text.startsWith('['))) return parsed(text)
  return text
}

/** JSON's number form, and an integer beyond 2^53 is left as text rather than rounded. */
function isLosslessNumber(text: string): boolean {
  if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(text)) return false
  const number = Number(text)
  return Number.isFinite(number) && (!Number.isInteger(number) || Number.isSafeInteger(number))
}

/** What is no JSON after all, or would lose something, meets the validator as text; it then names the field. */
function parsed(text: string): unknown {
  const found = parseExactly(text)
  return found.kind === 'Value' ? found.value : text
}

function isRecord(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
