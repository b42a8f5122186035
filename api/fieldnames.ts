/** Names of entry fields as a resource lists them: one name, or the beginning of names followed by `*`. */
export const fieldNamesPattern = '^[^*]*[*]?$'

export function isNamedBy(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}
