/**
 * The idempotency key's hash: what makes two entries the same piece of work. SHA-256 over a JSON array of the key's fields as
 * strings. An array, because joined values are ambiguous: `a,b` + `c` and `a` + `b,c`. Strings, because in a stream the number 1
 * and the text "1" are the same bytes.
 *
 * An empty value is no key, or all such requests would count as one. Empty are: an absent field, null, and the empty text unless the
 * resource allows it. Any other value is a key: blanks, `0`, `false`, `[]`. A list or an object counts by its canonical JSON in a document,
 * by its text in a field.
 */
import { hash } from 'node:crypto'

/** base64url, 43 characters. */
export function keyHash(values: readonly string[]): string {
  return hash('sha256', JSON.stringify(values), 'base64url')
}

/** JSON with object members in code-unit order at every depth: equal for equal payloads, whatever order they were written in. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`
}

/** Hash of a key that a request brought itself. It equals no hash of payload fields: those are made of a list. */
export function givenKeyHash(key: string): string {
  return hash('sha256', JSON.stringify({ key }), 'base64url')
}
