/**
 * The plan by which a payload's schema reads the fields of a stream entry. It is made once per schema. With one case, each field is decided
 * by itself. With several cases, the other fields decide which case an entry belongs to.
 */
import { createAcceptance } from './acceptance.ts'
import { type Case, type Condition, type Expansion, expand } from './cases.ts'
import { createCountedPatterns } from './countedpatterns.ts'
import { createMemberReader, namesOf, type Reading, requiredOf } from './members.ts'
import { createReferences, type SchemaObject } from './references.ts'
import { createTypeReader } from './types.ts'

export interface FieldPlan {
  readonly cases: readonly Case[]
  /** True: the schema has more cases than the plan examines. */
  readonly cut: boolean
  readonly conditions: readonly Condition[]
  /** @param at index of the case */
  reading(at: number, name: string): Reading
  /** Whether all these schemas accept the text. */
  takes(schemas: readonly unknown[], text: string): boolean
  /** Signs that exclude an entry from this case before any field is read. */
  marks(at: number): Marks
  /** A reading by schemas that hold together, in whichever case. */
  readingBy(schemas: readonly SchemaObject[], name: string): Reading
}

export interface Marks {
  readonly required: readonly string[]
  readonly without: readonly string[]
  /** Properties with a list of allowed values. */
  readonly choices: ReadonlyMap<string, readonly unknown[]>
}

/** Where not all cases are known, the schema itself stands for the others. A field then has only the types that the schema itself gives. */
function casesOf(schema: SchemaObject, { cases, cut }: Expansion): readonly Case[] {
  const itself: Case = { schemas: [schema], without: [], sides: new Map() }
  return cases.length === 0 ? [itself] : cut ? [itself, ...cases] : cases
}

/** Names come from outside, so the number of remembered names is bounded. */
const rememberedNames = 1_024
const longestRemembered = 64

/** @param read counts the characters that patterns read, and may throw BudgetSpent; default: no bound, for names of the schema itself */
export function createFieldPlan(schema: SchemaObject, read: (characters: number) => void = () => {}): FieldPlan {
  const references = createReferences(schema)
  const expansion = expand(schema, references)
  const matches = createCountedPatterns(read)
  const members = createMemberReader(createTypeReader(references), references, matches)
  const takes = createAcceptance(references, matches)
  const cases = casesOf(schema, expansion)
  const known = new Map<string, (Reading | undefined)[]>()
  const marks: (Marks | undefined)[] = []
  const caseAt = (at: number) => cases[at] ?? { schemas: [], without: [], sides: new Map() }

  return {
    cases,
    cut: expansion.cut,
    conditions: expansion.conditions,
    takes: (schemas, text) => schemas.every((one) => takes(one, text)),
    readingBy: (schemas, name) => members.reading({ schemas, without: [], sides: new Map() }, name),
    reading(at, name) {
      const readings = known.get(name)
      const remembered = readings?.[at]
      if (remembered !== undefined) return remembered
      const found = members.reading(caseAt(at), name)
      if (readings !== undefined) readings[at] = found
      else if (known.size < rememberedNames && name.length <= longestRemembered) {
        const first: (Reading | undefined)[] = []
        first[at] = found
        known.set(name, first)
      }
      return found
    },
    marks(at) {
      const one = caseAt(at)
      const found = marks[at] ?? {
        required: requiredOf(one),
        without: one.without,
        choices: new Map(
          namesOf(one).flatMap((name) => {
            const values = members.choices(one, name)
            return values === undefined ? [] : [[name, values] as const]
          }),
        ),
      }
      marks[at] = found
      return found
    },
  }
}
