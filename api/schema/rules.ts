/**
 * CEL rules beside the fields they guard. They travel as metadata of the zod schema into the CRD, where the API server runs them.
 * `validate` runs the very same text, so both give one verdict. A message says what to write instead.
 */
import type { z } from 'zod'

export interface Rule {
  /** CEL over `self` (and `oldSelf`: then it is checked only when an existing object changes). */
  readonly rule: string
  readonly message: string
  /** CEL that yields a message with the values in it; where it fails, `message` is shown. */
  readonly messageExpression?: string
  /** FieldValueForbidden keeps the offending value out of the answer, for fields that may hold a secret by mistake. */
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired'
  /** Which inner field is to blame, relative to the schema that carries the rule: `.url`. */
  readonly fieldPath?: string
}

/** The rules carried by a schema's metadata, or by the CRD made from it. */
export function rulesOf(carrier: object | undefined): readonly Rule[] {
  return (carrier as { readonly 'x-kubernetes-validations'?: readonly Rule[] } | undefined)?.['x-kubernetes-validations'] ?? []
}

/** The schema with the rules after those it has. */
export function guarded<S extends z.ZodType>(schema: S, ...rules: readonly Rule[]): S {
  const present = rulesOf(schema.meta())
  return schema.meta({ 'x-kubernetes-validations': [...present, ...rules] })
}

/** A CEL string literal. */
export function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/** CEL for the hash tag of a key, as Redis Cluster reads it (the brace rule has already refused odd braces). */
export function tagOf(key: string): string {
  return `(${key}.contains('{') ? ${key}.split('{')[1].split('}')[0] : ${key})`
}
