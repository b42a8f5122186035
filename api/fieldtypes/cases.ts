/**
 * The ways in which an object can satisfy a schema, as far as they decide the types of its properties. `allOf` and `$ref` extend one way.
 * `anyOf`, `oneOf`, `if` and `dependentSchemas` split it into several. A way, or case, is a list of schemas that hold together.
 */
import { isRecord } from '../validation/problem.ts'
import type { References, SchemaObject } from './references.ts'

export interface Case {
  /** Schemas that all hold. */
  readonly schemas: readonly SchemaObject[]
  /** Properties that must be absent. */
  readonly without: readonly string[]
  /** The branch taken at each `if`. Cases on different branches of one `if` exclude each other. */
  readonly sides: ReadonlyMap<SchemaObject, boolean>
}

/** A schema that a person can follow has fewer cases. */
export const mostCases = 256

export interface Expansion {
  readonly cases: readonly Case[]
  /** True: there are more than `mostCases`, and `cases` holds the first ones. */
  readonly cut: boolean
  readonly conditions: readonly Condition[]
}

/** The condition of an `if` or a `not`. */
export interface Condition {
  /** The schema that holds the condition. */
  readonly holder: SchemaObject
  readonly schemas: readonly SchemaObject[]
}

const unconditional: Case = { schemas: [], without: [], sides: new Map() }

export function expand(root: SchemaObject, references: References): Expansion {
  const conditions: Condition[] = []
  let cut = false
  let [steps, joined] = [0, 0]

  const product = (left: readonly Case[], right: readonly Case[]): readonly Case[] => {
    const all: Case[] = []
    for (const one of left) {
      for (const other of right) {
        if (all.length >= mostCases || joined > mostJoined) {
          cut = true
          return all
        }
        const both = join(one, other)
        if (both === undefined) continue
        joined += both.schemas.length
        all.push(both)
      }
    }
    return all
  }

  const choice = (choices: unknown, active: readonly SchemaObject[]): readonly Case[] => {
    if (!Array.isArray(choices)) return [unconditional]
    const all: Case[] = []
    for (const one of choices) {
      all.push(...ways(one, active))
      if (all.length > mostCases) cut = true
      if (all.length >= mostCases) return all.slice(0, mostCases)
    }
    return all
  }

  /** @param active schemas on the path to this one; a schema that leads back to itself adds nothing */
  const ways = (schema: unknown, active: readonly SchemaObject[]): readonly Case[] => {
    if (schema === false) return []
    if (!isRecord(schema) || active.includes(schema)) return [unconditional]
    steps += 1
    if (active.length >= deepest || steps > mostSteps) {
      cut = true
      return [unconditional]
    }
    const within = [...active, schema]
    let found: readonly Case[] = [{ ...unconditional, schemas: [schema] }]
    for (const keyword of ['$ref', '$dynamicRef'] as const) {
      if (schema[keyword] !== undefined) found = product(found, ways(references.target(schema, keyword), within))
    }
    if (Array.isArray(schema['allOf'])) for (const part of schema['allOf']) found = product(found, ways(part, within))
    if (schema['anyOf'] !== undefined) found = product(found, choice(schema['anyOf'], within))
    if (schema['oneOf'] !== undefined) found = product(found, choice(schema['oneOf'], within))
    if (schema['if'] !== undefined) found = product(found, sides(schema, within))
    for (const keyword of ['dependentSchemas', 'dependencies']) {
      if (isRecord(schema[keyword])) found = Object.entries(schema[keyword]).reduce((all, one) => depend(all, one, within), found)
    }
    if (schema['not'] !== undefined) ask(schema, ways(schema['not'], within))
    return found
  }

  const ask = (holder: SchemaObject, asked: readonly Case[]) => {
    conditions.push({ holder, schemas: asked.flatMap(({ schemas }) => schemas) })
  }

  const sides = (schema: SchemaObject, within: readonly SchemaObject[]): readonly Case[] => {
    const asked = ways(schema['if'], within)
    ask(schema, asked)
    const on = (cases: readonly Case[], side: boolean) =>
      cases.map((one) => ({ ...one, sides: new Map([...one.sides, [schema, side] as const]) }))
    return [...on(product(asked, ways(schema['then'] ?? true, within)), true), ...on(ways(schema['else'] ?? true, within), false)]
  }

  const depend = (found: readonly Case[], [name, schema]: [string, unknown], within: readonly SchemaObject[]) => {
    if (Array.isArray(schema)) return found
    const present = ways(schema, within).map((one) => ({ ...one, schemas: [...one.schemas, { required: [name] }] }))
    return product(found, [...present, { ...unconditional, without: [name] }])
  }

  const cases = ways(root, [])
  return { cases, cut, conditions }
}

/** Bounds on the depth of references and applicators, on their number in all, and on combined schemas: a schema may be a bomb. */
const deepest = 100
const mostSteps = 5_000
const mostJoined = 200_000

/** Undefined: the two exclude each other. */
function join(one: Case, other: Case): Case | undefined {
  for (const [schema, side] of one.sides) if (other.sides.get(schema) === !side) return undefined
  return {
    schemas: [...new Set([...one.schemas, ...other.schemas])],
    without: [...one.without, ...other.without],
    sides: other.sides.size === 0 ? one.sides : new Map([...one.sides, ...other.sides]),
  }
}
