/** Payload validation by the resource's JSON Schema. */
import { compilePayloadSchema } from '../../api/validation/payload-schema.ts'

/** Describes the problem of a payload (the place and the rule, never the value). Undefined: the payload is valid. */
type Validator = (data: object) => string | undefined

export function createValidator(schema: Readonly<Record<string, unknown>> | undefined): Validator {
  return schema === undefined ? () => undefined : compilePayloadSchema(schema).violation
}
