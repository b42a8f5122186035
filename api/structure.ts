/**
 * The structural schema (OpenAPI 3.0 as the API server takes it) made from the zod schema. Where the two differ in form this file
 * decides: unknown fields are refused by the server's strict field validation rather than by `additionalProperties: false`.
 */
import { z } from 'zod'
import { pipelineSchema } from './schema/pipeline.ts'
import type { Rule } from './schema/rules.ts'
import { waitingForOperator } from './status.ts'

export interface Structure {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly format?: string
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Structure>>
  readonly additionalProperties?: Structure
  readonly items?: Structure
  readonly anyOf?: readonly Structure[]
  readonly 'x-kubernetes-validations'?: readonly Rule[]
  readonly 'x-kubernetes-int-or-string'?: boolean
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular'
}

/** The structure that zod emits, with its closedness spelled as JSON Schema does. */
type Emitted = Omit<Structure, 'additionalProperties' | 'properties' | 'items' | 'anyOf'> & {
  readonly additionalProperties?: boolean | Emitted
  readonly properties?: Readonly<Record<string, Emitted>>
  readonly items?: Emitted
  readonly anyOf?: readonly Emitted[]
}

function isBare(standard: unknown, { properties }: Emitted): boolean {
  return typeof standard === 'object' && standard !== null && Object.keys(standard).length === 0 && properties === undefined
}

function structural(emitted: Emitted): Structure {
  const { additionalProperties, properties, items, anyOf, minimum, maximum, default: standard, ...others } = emitted
  // Stored objects stay short: an empty list or map says nothing that its absence does not.
  const rest = { ...others, ...(standard !== undefined && !isBare(standard, emitted) && { default: standard }) }
  if (rest['x-kubernetes-int-or-string'] === true) {
    const maxLength = anyOf?.find(({ type }) => type === 'string')?.maxLength
    return { ...rest, anyOf: [{ type: 'integer' }, { type: 'string' }], ...(maxLength !== undefined && { maxLength }) }
  }
  const typed =
    typeof additionalProperties === 'object' && Object.keys(additionalProperties).length > 0 ? additionalProperties : undefined
  return {
    ...rest,
    ...(minimum !== undefined && minimum !== Number.MIN_SAFE_INTEGER && { minimum }),
    ...(maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER && { maximum }),
    // The API server drops an empty map, and a client that compares would put it back for ever.
    ...(properties !== undefined &&
      Object.keys(properties).length > 0 && {
        properties: Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, structural(inner)])),
      }),
    ...(items !== undefined && { items: structural(items) }),
    ...(typed !== undefined && { additionalProperties: structural(typed) }),
  }
}

function make(): Structure {
  const emitted = z.toJSONSchema(pipelineSchema, { target: 'openapi-3.0', io: 'input', unrepresentable: 'any' })
  const { spec, status } = structural(emitted as Emitted).properties ?? {}
  const { 'x-kubernetes-validations': rules } = structural(emitted as Emitted)
  return {
    type: 'object',
    description:
      'Moves the entries of a Redis Stream into a BullMQ queue, safely, and scales its consumers on the age of the backlog.',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      // Declared so that rules may read it and answers name its path; the API server checks the rest of metadata itself.
      metadata: { type: 'object', properties: { name: { type: 'string' } } },
      spec: spec ?? {},
      status: { ...status, default: { conditions: [waitingForOperator] } },
    },
    ...(rules !== undefined && { 'x-kubernetes-validations': rules }),
  }
}

let made: Structure | undefined

/** The structural schema of the whole resource; made on first use. */
export function pipelineStructure(): Structure {
  made ??= make()
  return made
}
