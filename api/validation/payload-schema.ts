/**
 * The JSON Schema of payloads: one way to compile it for whoever needs it (validate, consumer, dispatcher), so that a schema that
 * validates here runs there. Strict: an unknown keyword is a misspelt one, and formats are checked.
 */
import { Ajv2020, type Options, type ValidateFunction } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import { boundKeywords } from './bounds.ts'
import { compilePattern } from './pattern.ts'
import { isRecord, type Problem } from './problem.ts'

// `code` would be what a stand-alone validator module imports; none is generated here.
const regExp = Object.assign(compilePattern, { code: 'compilePattern' })
const options = {
  strict: true,
  allErrors: false,
  allowUnionTypes: true,
  logger: false,
  // Each reference inlined, 7 KB of schema are megabytes of code: a hundred that lead to a hundred properties each.
  inlineRefs: false,
  code: { regExp },
  // `metaSchema` does.
  validateSchema: false,
} as const satisfies Options

/**
 * JSON Schema's own schema takes tens of milliseconds to compile, most of what a consumer would do at start: done once for all.
 * Nothing is added to this instance, so that one schema cannot say anything about the next.
 */
let metaSchema: Ajv2020 | undefined

/** @throws Error as ajv itself words it */
function checkSchema(schema: Readonly<Record<string, unknown>>): void {
  metaSchema ??= new Ajv2020({ logger: false })
  if (metaSchema.validateSchema(schema) !== true) throw new Error(`schema is invalid: ${metaSchema.errorsText()}`)
}

/** Members of these are named by the author, not by JSON Schema. */
const maps = [
  'properties',
  'patternProperties',
  'dependentSchemas',
  '$defs',
  'definitions',
  'const',
  'enum',
  'default',
  'examples',
]

/** Where ajv finds `$async`, whatever is validated passes, and is refused later, to nobody. @throws Error */
function refuseAsync(schema: Readonly<Record<string, unknown>>): void {
  const open: { readonly value: unknown; readonly isMap: boolean }[] = [{ value: schema, isMap: false }]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (typeof at.value !== 'object' || at.value === null) continue
    if (!at.isMap && Object.hasOwn(at.value, '$async')) throw new Error('$async is no keyword of JSON Schema: leave it out')
    for (const [name, value] of Object.entries(at.value)) {
      open.push({ value, isMap: !at.isMap && !Array.isArray(at.value) && maps.includes(name) })
    }
  }
}

/** The last one: whoever checks a resource is about to use it. */
let compiled: { readonly text: string; readonly validate: ValidateFunction } | undefined

/** @throws ajv's Error where the schema itself is wrong */
export function compilePayloadSchema(schema: Readonly<Record<string, unknown>>): ValidateFunction {
  const text = JSON.stringify(schema)
  if (compiled?.text === text) return compiled.validate
  refuseAsync(schema)
  checkSchema(schema)
  const ajv = new Ajv2020(options)
  ajvFormats.default(ajv)
  const validate = boundKeywords(ajv)(schema)
  compiled = { text, validate }
  return validate
}

const indirections = ['$ref', '$dynamicRef', 'allOf', 'anyOf', 'oneOf', 'if', 'patternProperties', 'dependentSchemas']

/** The properties a payload may name, where the schema says so at its top level. */
function declared(schema: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  if (!isRecord(schema['properties']) || indirections.some((keyword) => schema[keyword] !== undefined)) return undefined
  return Object.keys(schema['properties'])
}

export function payloadProblems(payload: { readonly schema?: unknown; readonly idempotencyKey?: unknown }): Problem[] {
  const { schema, idempotencyKey } = payload
  if (!isRecord(schema)) return []
  try {
    compilePayloadSchema(schema)
  } catch (thrown) {
    const detail = thrown instanceof Error ? thrown.message : String(thrown)
    return [{ field: 'spec.payload.schema', message: `not a JSON Schema (2020-12, strict): ${detail}`, beyondServer: true }]
  }
  const found: Problem[] = []
  if (schema['type'] !== undefined && schema['type'] !== 'object') {
    found.push({ field: 'spec.payload.schema.type', message: 'a payload is an object: write type: object', beyondServer: true })
  }
  const names = declared(schema)
  if (names === undefined || !Array.isArray(idempotencyKey)) return found
  idempotencyKey.forEach((name: unknown, index) => {
    if (typeof name === 'string' && !names.includes(name)) {
      const message = `the schema declares no property ${JSON.stringify(name)}: name one of ${names.join(', ')}, or add it to spec.payload.schema.properties`
      found.push({ field: `spec.payload.idempotencyKey[${index}]`, message, beyondServer: true })
    }
  })
  return found
}
