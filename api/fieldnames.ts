/** Names of entry fields as a resource lists them: a whole name, or a prefix followed by `*`. */
export const fieldNamesPattern = '^[^*]*[*]?$'

export function isNamedBy(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}
