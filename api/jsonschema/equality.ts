/**
 * JSON values as canonical text: members are sorted at every depth. Two texts are equal exactly where JSON Schema calls the values equal.
 */
import { isRecord } from '../validation/problem.ts'

export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value)
  const names = Object.keys(value).sort()
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`
}
