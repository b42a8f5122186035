/**
 * Payload validation by JSON Schema 2020-12. The message names the place and the rule, never the value: it goes into logs and
 * dead letters' `error`, where payload has no business.
 */
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'

/** Says what is wrong with a payload, or undefined when nothing is. */
export type Validator = (data: object) => string | undefined

export function createValidator(schema: Readonly<Record<string, unknown>> | undefined): Validator {
  if (schema === undefined) return () => undefined
  const ajv = new Ajv2020({ strict: true, allErrors: false, allowUnionTypes: true })
  ajvFormats.default(ajv)
  const validate = ajv.compile(schema)
  return (data) => (validate(data) ? undefined : describe(validate.errors?.[0]))
}

function describe(error: ErrorObject | undefined): string {
  if (error === undefined) return 'the payload does not match the schema'
  const place = error.instancePath === '' ? 'the payload' : error.instancePath.slice(1).replaceAll('/', '.')
  const extra: unknown = error.params['additionalProperty']
  const named = typeof extra === 'string' ? ` (${JSON.stringify(extra.slice(0, 60))})` : ''
  return `${place} ${error.message ?? 'is invalid'}${named}`
}
