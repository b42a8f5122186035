/**
 * Bounds on the size of a schema. Compiling costs at least the schema's size, in every process that serves the pipeline. Schemas of whole
 * data models (thousands of properties) stay well below the bounds.
 */
import type { Finding } from './finding.ts'

export const limits = Object.freeze({
  /** Characters of its JSON text. */
  characters: 512 * 1024,
  /** Levels of its JSON. */
  levels: 200,
  /** Schemas in it, itself included. */
  schemas: 10_000,
  references: 5_000,
})

/** The depth of a JSON value, without recursion: input from outside decides the depth. */
function levelsOf(value: unknown): number {
  let level: unknown[] = [value]
  let levels = 0
  while (level.length > 0) {
    levels += 1
    level = level.flatMap((held) => (typeof held === 'object' && held !== null ? Object.values(held) : []))
    // A value with aliases to itself would never end.
    if (levels > limits.levels) return levels
  }
  return levels
}

/** Names the bound that a schema exceeds, before any walk over it. */
export function sizeFinding(schema: unknown, text: string): Finding | undefined {
  if (text.length > limits.characters) {
    return excess(`the schema has ${text.length} characters of JSON; the limit is ${limits.characters}`)
  }
  if (levelsOf(schema) > limits.levels) return excess(`the schema nests deeper than ${limits.levels} levels`)
  return undefined
}

export function excess(what: string): Finding {
  return { path: [], weight: 'Refused', message: `${what}: describe less of the payload` }
}
