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
  const result: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value)) {
    const known = properties[name] ?? additionalProperties
    if (known === undefined) result[name] = structuredClone(inner)
    else if (inner !== null) result[name] = defaulted(inner, known)
  }
  for (const [name, inner] of Object.entries(properties)) {
    if (inner.default !== undefined && result[name] === undefined) result[name] = defaulted(inner.default, inner)
  }
  return result
}
