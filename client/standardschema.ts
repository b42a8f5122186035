/**
 * The application's own schema: zod, valibot, ArkType or any other that follows Standard Schema and exports JSON Schema. It types
 * the payload. The dispatcher checks the payload against it before it sends anything. On a cluster the resource owns the schema, so
 * where the two differ that is reported.
 */
import { failure } from '../api/errors.ts'
import { quotedName } from '../api/printable.ts'

interface Issue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

type Checked<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly Issue[] }

interface Exporter {
  input(options: { readonly target: 'draft-2020-12' }): Record<string, unknown>
  output(options: { readonly target: 'draft-2020-12' }): Record<string, unknown>
}

/** Standard Schema, version 1 (standardschema.dev), with its export of JSON Schema. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Checked<Output> | Promise<Checked<Output>>
    readonly jsonSchema?: Exporter | undefined
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** The payload type of a schema. */
export type PayloadIn<S extends StandardSchema> = unknown extends InputOf<S> ? object : Extract<InputOf<S>, object>

type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']

type JsonSchema = Readonly<Record<string, unknown>>

/**
 * Returns the JSON Schema of an application's schema, in the form of `spec.payload.schema`. Throws InvalidOption for a schema that exports
 * none, or that changes values (transforms, defaults): workers receive the payload as it was sent.
 */
export function payloadSchemaOf(schema: StandardSchema): JsonSchema {
  const refused = (detail: string, cause?: unknown) => failure('InvalidOption', { option: 'schema', detail }, cause)
  const exporter = schema['~standard'].jsonSchema
  if (exporter === undefined)
    throw refused('it exports no JSON Schema: use a release of its library that follows Standard JSON Schema')
  const options = { target: 'draft-2020-12' } as const
  let input: JsonSchema
  let output: JsonSchema
  try {
    input = exporter.input(options)
    output = exporter.output(options)
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw refused(`it has no JSON Schema (${why}): describe the payload as it is sent, and change values in the worker`, thrown)
  }
  const [changed] = differences(input, output)
  if (changed !== undefined) {
    throw refused(`it changes values at ${changed}, by a default or a transform: describe the payload as it is sent`)
  }
  const { $schema: _, ...rest } = input
  return rest
}

/** Throws PayloadRejected, naming the field. */
export async function checkBy(schema: StandardSchema, payload: unknown): Promise<void> {
  const checked = await schema['~standard'].validate(payload)
  const [issue] = checked.issues ?? []
  if (issue === undefined) return
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  throw failure('PayloadRejected', { detail: `${path === '' ? 'the payload' : quotedName(path)}: ${issue.message}` })
}

/**
 * Keywords that say nothing about which payloads are valid, or that exporters add to only one of the two exports, of input and of
 * output.
 */
const annotations = new Set([
  '$schema',
  '$id',
  '$comment',
  'title',
  'description',
  'examples',
  'default',
  'deprecated',
  'additionalProperties',
])

/** Paths at which two schemas differ, annotations aside. */
export function differences(one: JsonSchema, other: JsonSchema): readonly string[] {
  const [left, right] = [leavesOf(one), leavesOf(other)]
  return [...new Set([...left.keys(), ...right.keys()])].filter((path) => left.get(path) !== right.get(path))
}

/** Path → value as JSON. Lists without order are sorted. */
function leavesOf(schema: JsonSchema): ReadonlyMap<string, string> {
  const leaves = new Map<string, string>()
  const visit = (value: unknown, path: string, isSchema: boolean): void => {
    if (Array.isArray(value)) {
      const isSet = value.every((member) => typeof member !== 'object' || member === null)
      if (isSet) leaves.set(path, JSON.stringify(value.map((member) => JSON.stringify(member)).sort()))
      else value.forEach((member, index) => void visit(member, `${path}[${index}]`, true))
      return
    }
    if (typeof value !== 'object' || value === null) {
      leaves.set(path, JSON.stringify(value) ?? '')
      return
    }
    for (const [name, member] of Object.entries(value)) {
      // The names of properties are no keywords.
      const isMap = isSchema && (name === 'properties' || name === '$defs' || name === 'patternProperties')
      if (isSchema && annotations.has(name)) continue
      visit(member, path === '' ? name : `${path}.${name}`, !isMap)
    }
  }
  visit(schema, '', true)
  return leaves
}
