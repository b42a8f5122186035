/** Findings of `validate` on a payload's schema, and on the key made of its declared fields. */
import { consider } from '../jsonschema/compile.ts'
import { type Finding, spellPath } from '../jsonschema/finding.ts'
import { isRecord, type Problem } from './problem.ts'

export { compilePayloadSchema } from '../jsonschema/compile.ts'

const root = 'spec.payload.schema'

const indirections = ['$ref', '$dynamicRef', 'allOf', 'anyOf', 'oneOf', 'if', 'patternProperties', 'dependentSchemas']

/** The properties a payload may name, where the schema says so at its top level. */
function declared(schema: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  if (!isRecord(schema['properties']) || indirections.some((keyword) => schema[keyword] !== undefined)) return undefined
  return Object.keys(schema['properties'])
}

interface PayloadSpec {
  readonly schema?: unknown
  readonly idempotencyKey?: unknown
}

const located = ({ path, message }: Finding): Problem => ({ field: spellPath(root, path), message, beyondServer: true })

export function payloadProblems({ schema, idempotencyKey }: PayloadSpec): Problem[] {
  if (!isRecord(schema)) return []
  const { findings } = consider(schema)
  const found = findings.flatMap((finding): Problem[] => {
    if (finding.weight === 'Remark') return []
    return [finding.weight === 'Unusable' ? located(finding) : { ...located(finding), tolerated: true }]
  })
  if (found.some(({ tolerated }) => tolerated !== true)) return found
  if (schema['type'] !== undefined && ![schema['type']].flat().includes('object')) {
    found.push({ field: `${root}.type`, message: 'a payload is an object: write type: object', beyondServer: true })
  }
  return [...found, ...keyProblems(schema, idempotencyKey)]
}

function keyProblems(schema: Readonly<Record<string, unknown>>, idempotencyKey: unknown): Problem[] {
  const names = declared(schema)
  if (names === undefined || !Array.isArray(idempotencyKey)) return []
  return idempotencyKey.flatMap((name: unknown, index): Problem[] => {
    if (typeof name !== 'string' || names.includes(name)) return []
    const message = `the schema declares no property ${JSON.stringify(name)}: name one of ${names.join(', ')}, or add it to spec.payload.schema.properties`
    return [{ field: `spec.payload.idempotencyKey[${index}]`, message, beyondServer: true }]
  })
}

/** Findings on a valid schema that is probably not meant. */
export function payloadRemarks({ schema }: PayloadSpec): Problem[] {
  if (!isRecord(schema)) return []
  return consider(schema)
    .findings.filter(({ weight }) => weight === 'Remark')
    .map(located)
}

/** The validator of the payloads, as a phrase. Undefined: there is no schema. */
export function judgeOf({ schema }: PayloadSpec): string | undefined {
  if (!isRecord(schema)) return undefined
  const { choice } = consider(schema)
  if (choice.kind === 'Fast') return 'ajv'
  return `@hyperjump/json-schema, because of ${choice.reason} (${spellPath(root, choice.path)})`
}
