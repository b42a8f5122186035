/** Which files import a file of the project, directly or through others. Relative imports alone count. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

const relativeImport = /(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+\.ts)'/g

/**
 * @param target the imported file
 * @param files files at which the search begins
 * @returns those of `files` that reach the target; all paths are absolute
 */
export function importersOf(target: string, files: readonly string[]): readonly string[] {
  const importers = new Map<string, Set<string>>()
  const open = [...files]
  const seen = new Set(open)
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    for (const next of importsOf(file)) {
      importers.set(next, (importers.get(next) ?? new Set()).add(file))
      if (seen.has(next)) continue
      seen.add(next)
      open.push(next)
    }
  }
  const reaching = new Set([target])
  for (const file of reaching) for (const importer of importers.get(file) ?? []) reaching.add(importer)
  return files.filter((file) => reaching.has(file))
}

function importsOf(file: string): readonly string[] {
  return [...readFileSync(file, 'utf8').matchAll(relativeImport)]
    .map(([, path = '']) => resolve(dirname(file), path))
    .filter((path) => existsSync(path))
}
