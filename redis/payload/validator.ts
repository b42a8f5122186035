/**
 * Payload validation by JSON Schema 2020-12. The message names the place and the rule, never the value: it goes into logs and
 * dead letters' `error`, where payload has no business.
 */
import type { ErrorObject } from 'ajv/dist/2020.js'
import { printableName, quotedName } from '../../api/printable.ts'
import { compilePayloadSchema } from '../../api/validation/payload-schema.ts'

/** Says what is wrong with a payload, or undefined when nothing is. */
type Validator = (data: object) => string | undefined

export function createValidator(schema: Readonly<Record<string, unknown>> | undefined): Validator {
  if (schema === undefined) return () => undefined
  const validate = compilePayloadSchema(schema)
  return (data) => (validate(data) ? undefined : describe(validate.errors?.[0]))
}

function describe(error: ErrorObject | undefined): string {
  if (error === undefined) return 'the payload does not match the schema'
  const place = error.instancePath === '' ? 'the payload' : placeOf(error.instancePath)
  const extra: unknown = error.params['additionalProperty']
  const named = typeof extra === 'string' ? ` (${quotedName(extra)})` : ''
  return `${place} ${error.message ?? 'is invalid'}${named}`
}

/** Steps that are told of a path; a payload may nest deeper. */
const mostSteps = 8

/** A JSON Pointer as people write a path. Its steps are the sender's own names, of any length. */
function placeOf(pointer: string): string {
  const steps = pointer.slice(1).split('/', mostSteps + 1)
  const shown = steps.slice(0, mostSteps).map((step) => printableName(step))
  return [...shown, ...(steps.length > mostSteps ? ['…'] : [])].join('.')
}
