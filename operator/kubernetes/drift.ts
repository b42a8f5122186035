/**
 * Whether an object already has the content that we would apply, judged from a cache. Two things must hold. The last apply, of any
 * process, had the very same content. Its hash is kept in an annotation, since a field that we no longer want would otherwise go
 * unnoticed. And every field of that content still has the same value. So a restarted operator sends nothing for the thousands of
 * objects that are as they should be.
 */
import type { KubernetesObject } from './objects.ts'

export const appliedAnnotation = 'streampipeline.dev/applied'

export function stamped(object: KubernetesObject, hash: string): KubernetesObject {
  const { metadata } = object
  return { ...object, metadata: { ...metadata, annotations: { ...metadata.annotations, [appliedAnnotation]: hash } } }
}

export function isAsApplied(cached: KubernetesObject, desired: KubernetesObject, hash: string): boolean {
  return cached.metadata.annotations?.[appliedAnnotation] === hash && covers(cached, desired)
}

/** Every field of `wanted` is in `actual` with the same value; what else is in there (defaults, others' fields) does not matter. */
export function covers(actual: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(actual) && actual.length === wanted.length && wanted.every((item, index) => covers(actual[index], item))
  }
  if (typeof wanted !== 'object' || wanted === null) return actual === wanted
  if (typeof actual !== 'object' || actual === null) return false
  return Object.entries(wanted).every(
    ([key, value]) => value === undefined || covers((actual as Record<string, unknown>)[key], value),
  )
}
