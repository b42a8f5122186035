/** A row of the tables: a small pipeline, and changes of it by JSON merge patch (RFC 7396). */
import type { StreamPipelineInput } from '../../../api/index.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

const isObject = (value: unknown): value is { readonly [name: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** null takes a field out. */
export function patched(target: Json, patch: Json): Json {
  if (!isObject(patch)) return patch
  const result: Record<string, Json> = isObject(target) ? { ...target } : {}
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) delete result[name]
    else result[name] = patched(result[name] ?? null, change)
  }
  return result
}

export const minimal = {
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'ndvi', namespace: 'default' },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: 'ndvi:jobs', group: 'ndvi' },
    sink: { bullmq: { queue: 'ndvi' } },
  },
} as const satisfies StreamPipelineInput

const viaCluster: Json = { url: null, cluster: { nodes: ['redis-0.redis:6379'] } }

/** A patch of spec that moves the pipeline to a Redis Cluster. */
export const onCluster = (spec: Json): Json => patched({ redis: viaCluster }, spec)

/** Stands for a null in the document, since a null in a row takes the field out. */
export const literalNull = '(null)'

function withNulls(value: Json): Json {
  if (value === literalNull) return null
  if (Array.isArray(value)) return value.map(withNulls)
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withNulls(inner)])) : value
}

export interface Row {
  /** The case, as a sentence. */
  readonly name: string
  /** Patch of spec. */
  readonly spec?: Json
  /** Patch of the whole resource. */
  readonly whole?: Json
}

export function resourceOf({ spec = {}, whole = {} }: Row): Json {
  return withNulls(patched(patched(minimal, whole), { spec }))
}
