/** The exports of source files, and the imports that use them. Read from the text, as build/imports.ts reads the imports between files. */
import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { root } from './root.ts'

const commentLine = /^\s*(?:\/?\*|\/\/).*$/gm
const declared = /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|const|let|class|interface|type|enum) (\w+)/gm
const listed = /^export (?:type )?\{([^}]*)\}/gm
/** `import { a, type b as c } from './x.ts'`, also as `export … from`, and `const { a } = await import('./x.ts')`. */
const named =
  /(?:\b(?:import|export)\s+(?:type\s+)?(?:\w+\s*,\s*)?|const\s+)\{([^}]*)\}\s*(?:from|=\s*await import\()\s*'(\.[^']+)'/g
/** `import * as x from`, `export * from`, `typeof import('./x.ts')`, and an import that is not taken apart. */
const whole = /(?:\*(?:\s+as\s+\w+)?\s+from|(?<!\}\s*=\s*await\s+)\bimport\()\s*'(\.[^']+)'/g

const textOf = (path: string): string => readFileSync(join(root, path), 'utf8').replace(commentLine, '')

/** The names before `as`, without `type`. */
function namesIn(list: string, take: 'Before' | 'After'): string[] {
  return list
    .split(',')
    .map((item) => item.trim().replace(/^type\s+/, ''))
    .filter((item) => item !== '')
    .map((item) => item.split(/\s+as\s+/))
    .map((parts) => (take === 'Before' ? parts[0] : parts.at(-1)) ?? '')
}

function exportsOf(path: string): string[] {
  const text = textOf(path)
  const own = [...text.matchAll(declared)].map(([, name = '']) => name)
  return [...own, ...[...text.matchAll(listed)].flatMap(([, list = '']) => namesIn(list, 'After'))]
}

/** Exports that no file imports by name, as `path: name`. Files that are imported as a whole use all of their exports. */
export function unusedExports(paths: readonly string[], importers: readonly string[]): string[] {
  const used = new Map<string, Set<string>>()
  const wholes = new Set<string>()
  for (const path of importers) {
    const text = textOf(path)
    const target = (relative: string) => posix.join(posix.dirname(path), relative)
    for (const [, list = '', from = ''] of text.matchAll(named)) {
      const names = used.get(target(from)) ?? new Set()
      for (const name of namesIn(list.replaceAll(':', ' as '), 'Before')) names.add(name)
      used.set(target(from), names)
    }
    for (const [, from = ''] of text.matchAll(whole)) wholes.add(target(from))
  }
  return paths.flatMap((path) =>
    wholes.has(path) ? [] : exportsOf(path).flatMap((name) => (used.get(path)?.has(name) ? [] : [`${path}: ${name}`])),
  )
}
