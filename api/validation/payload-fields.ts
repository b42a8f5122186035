/**
 * The fields of an entry against the payload made of them. One check asks whether text can express the types that the schema demands. The
 * other asks whether fields left out or kept as metadata belong to the payload.
 */
import { isNamedBy } from '../fieldnames.ts'
import { type Undecided, undecidedFields } from '../fieldtypes/undecided.ts'
import { isRecord, type Problem, under } from './problem.ts'

interface WrittenPayload {
  readonly encoding?: unknown
  readonly field?: unknown
  readonly schema?: unknown
  readonly idempotencyKey?: unknown
  readonly ignoreFields?: unknown
  readonly metadataFields?: unknown
}

export function fieldListProblems(payload: WrittenPayload): Problem[] {
  return [...listProblems(payload, 'ignoreFields'), ...listProblems(payload, 'metadataFields')]
}

/** This check is separate: it takes longer and stops no running resource. @param payload its schema compiles */
export function undecidedProblems(payload: WrittenPayload): Problem[] {
  if (payload.encoding === 'Json' || !isRecord(payload.schema)) return []
  return undecidedFields(payload.schema).map(undecided)
}

/** Earlier releases accepted such a schema and read text as text. A running resource still does. */
function undecided(found: Undecided): Problem {
  return { field: 'spec.payload.schema', message: words(found), beyondServer: true, tolerated: true }
}

function words(found: Undecided): string {
  switch (found.kind) {
    case 'OneAlternative':
      return `encoding: Fields cannot determine whether ${JSON.stringify(found.name)} is text: one alternative gives its type, another takes any text. Give its type in properties beside the alternatives, give each alternative a const of its own in a required property, or write encoding: Json`
    case 'Condition':
      return `encoding: Fields cannot determine whether ${JSON.stringify(found.name)} is text: only "if" or "not" gives its type, and text is taken as text. Give its type in properties too, or write encoding: Json`
    case 'TooManyCases':
      return `encoding: Fields follows at most ${found.most} combinations of anyOf, oneOf, if and dependentSchemas: write fewer, or write encoding: Json`
    default:
      return found satisfies never
  }
}

function listProblems(payload: WrittenPayload, list: 'ignoreFields' | 'metadataFields'): Problem[] {
  const patterns: unknown = payload[list]
  if (!Array.isArray(patterns)) return []
  const path = under('spec.payload', list)
  return patterns.flatMap((pattern: unknown, index): Problem[] => {
    if (typeof pattern !== 'string') return []
    const taken = payload.encoding === 'Json' ? documentField(payload, pattern) : payloadField(payload, pattern)
    if (taken === undefined) return []
    const message = `${JSON.stringify(pattern)} names ${taken}: write other names, or take it off the list`
    return [{ field: under(path, index), message, beyondServer: true }]
  })
}

/** Under Json one field is the payload. A prefix that matches it does not leave it out. */
function documentField({ field }: WrittenPayload, pattern: string): string | undefined {
  return pattern === field ? `${JSON.stringify(pattern)}, which holds the document` : undefined
}

function payloadField({ schema, idempotencyKey }: WrittenPayload, pattern: string): string | undefined {
  if (pattern === '*') return 'every field, and the payload is made of the fields'
  const keys: unknown[] = Array.isArray(idempotencyKey) ? idempotencyKey : []
  const key = keys.find((name) => typeof name === 'string' && isNamedBy(pattern, name))
  if (key !== undefined) return `${JSON.stringify(key)}, a field of the idempotency key`
  const properties = isRecord(schema) && isRecord(schema['properties']) ? Object.keys(schema['properties']) : []
  const property = properties.find((name) => isNamedBy(pattern, name))
  return property === undefined ? undefined : `${JSON.stringify(property)}, a property of the schema`
}
