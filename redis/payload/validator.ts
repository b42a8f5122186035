/** Payload validation by the resource's JSON Schema. */
import { compilePayloadSchema } from '../../api/validation/payload-schema.ts'

/** Says what is wrong with a payload (the place and the rule, never the value), or undefined when nothing is. */
type Validator = (data: object) => string | undefined

export function createValidator(schema: Readonly<Record<string, unknown>> | undefined): Validator {
  return schema === undefined ? () => undefined : compilePayloadSchema(schema).violation
}
