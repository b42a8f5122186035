/** Fills in defaults as the API server does: nulls count as absent, and defaults of objects get the defaults of their fields. */
import type { Structure } from '../structure.ts'
import { isRecord } from './problem.ts'

/** A copy with nulls dropped and defaults in; values of a wrong type are left for the structural check to report. */
export function defaulted(value: unknown, structure: Structure): unknown {
  if (Array.isArray(value)) {
    const { items } = structure
    return items === undefined ? structuredClone(value) : value.map((item) => defaulted(item, items))
  }
  if (!isRecord(value)) return value
  const { properties = {}, additionalProperties } = structure
  // A map until the end: a document may have a field called __proto__. In an object, that field would set the object's prototype.
  const result = new Map<string, unknown>()
  for (const [name, inner] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
    if (known === undefined) result.set(name, typeof inner === 'object' ? structuredClone(inner) : inner)
    else if (inner !== null) result.set(name, defaulted(inner, known))
  }
  for (const [name, inner] of Object.entries(properties)) {
    if (inner.default !== undefined && !result.has(name)) result.set(name, defaulted(inner.default, inner))
  }
  return Object.fromEntries(result)
}
