import { printableName } from '../printable.ts'

/** A problem of one field of a resource, with the remedy. */
export interface Problem {
  /** Path as the API server spells it: `spec.redis.sentinel.nodes[0]`. */
  readonly field: string
  readonly message: string
  /** Found here only: the API server cannot look inside a JSON Schema or a time zone. */
  readonly beyondServer?: true
  /** True: earlier releases did not refuse it. A resource with it keeps running, and its consumer logs a warning. */
  readonly tolerated?: true
}

/** The path of a field, or of a list item, as the API server spells it. A property's name may be any text. */
export function under(path: string, name: string | number): string {
  if (typeof name === 'number') return `${path}[${name}]`
  const shown = printableName(name)
  return path === '' ? shown : `${path}.${shown}`
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
