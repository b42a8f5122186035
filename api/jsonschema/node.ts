/** A subschema with its place and base URI, and the subschemas directly inside it. */
import { isRecord } from '../validation/problem.ts'
import { pointerTo } from './address.ts'
import type { SchemaPath } from './finding.ts'
import { formOf } from './keywords.ts'

export type SchemaValue = boolean | Readonly<Record<string, unknown>>

export interface SchemaNode {
  readonly value: SchemaValue
  /** Unique: the root's URI and the pointer from there. */
  readonly key: string
  readonly path: SchemaPath
  /** URI of the resource that holds the schema, without fragment. */
  readonly base: string
  /** True: one of the standard's own schemas. */
  readonly foreign: boolean
}

export const isSchema = (value: unknown): value is SchemaValue => isRecord(value) || typeof value === 'boolean'

/** The direct subschemas of a schema, by the keywords that hold schemas. Their base is that of the schema: a caller reads their `$id`. */
export function innerOf({ value, key, path, base, foreign }: SchemaNode): SchemaNode[] {
  if (typeof value === 'boolean') return []
  return Object.entries(value).flatMap(([keyword, held]) => {
    const place = (inner: unknown, ...steps: (string | number)[]): SchemaNode[] =>
      isSchema(inner)
        ? [{ value: inner, key: pointerTo(key, keyword, ...steps), path: [...path, keyword, ...steps], base, foreign }]
        : []
    switch (formOf(keyword)) {
      case 'Schema':
        return place(held)
      case 'Schemas':
        return Array.isArray(held) ? held.flatMap((inner, index) => place(inner, index)) : []
      case 'SchemaByName':
      case 'SchemaByPattern':
      case 'Dependencies':
        return isRecord(held) ? Object.entries(held).flatMap(([name, inner]) => place(inner, name)) : []
      default:
        return []
    }
  })
}

/** The key of a subschema under a keyword. */
export function innerKey(node: SchemaNode, keyword: string, ...steps: (string | number)[]): string {
  return pointerTo(node.key, keyword, ...steps)
}
