/**
 * Fields whose text a schema leaves ambiguous. Allowed text stays text. So a type from one alternative never applies where another
 * alternative accepts the text. The same holds for a type that only `if` or `not` names.
 */
import { type Case, mostCases } from './cases.ts'
import { namesOf } from './members.ts'
import { createFieldPlan, type FieldPlan, type Marks } from './plan.ts'
import type { SchemaObject } from './references.ts'

export type Undecided =
  | { readonly kind: 'TooManyCases'; readonly most: number }
  /** Fields typed in one alternative and open in another that the same entry may fit. */
  | { readonly kind: 'OneAlternative'; readonly name: string }
  /** Fields typed only in a condition. */
  | { readonly kind: 'Condition'; readonly name: string }

export function undecidedFields(schema: SchemaObject): readonly Undecided[] {
  const plan = createFieldPlan(schema)
  const found: Undecided[] = []
  if (plan.cut) found.push({ kind: 'TooManyCases', most: mostCases })
  const conditional = new Set(conditionNames(plan))
  for (const name of conditional) found.push({ kind: 'Condition', name })
  for (const name of openNames(plan)) if (!conditional.has(name)) found.push({ kind: 'OneAlternative', name })
  return found
}

function conditionNames({ cases, conditions, reading, readingBy }: FieldPlan): string[] {
  return conditions.flatMap(({ holder, schemas }) => {
    const names = namesOf({ schemas, without: [], sides: new Map() })
    const asked = names.filter((name) => schemas.some((schema) => readingBy([schema], name).kind === 'Value'))
    return asked.filter((name) => cases.some(({ schemas }, at) => schemas.includes(holder) && reading(at, name).kind !== 'Value'))
  })
}

function openNames(plan: FieldPlan): string[] {
  const { cases, reading } = plan
  if (cases.length < 2 || plan.cut) return []
  const pairs = new Map<number, boolean>()
  const both = (one: number, other: number) => {
    const pair = one * cases.length + other
    const known = pairs.get(pair) ?? mayBoth(plan, one, other)
    pairs.set(pair, known)
    return known
  }
  const names = [...new Set(cases.flatMap(namesOf))]
  const kinds = new Map(names.map((name) => [name, cases.map((_, at) => reading(at, name))]))
  const everywhere = new Set(names.filter((name) => kinds.get(name)?.every(({ kind }) => kind === 'Value')))
  const anyText = cases.map((_, at) => takesAnyText(plan, at, everywhere))
  return names.filter((name) => {
    const readings = kinds.get(name) ?? []
    const typed = readings.flatMap((one, at) => (one.kind === 'Value' ? [at] : []))
    if (typed.length === 0) return false
    const open = readings.flatMap((one, at) => (!one.mentioned && anyText[at] === true ? [at] : []))
    return typed.some((one) => open.some((other) => both(one, other)))
  })
}

/**
 * Whether every field of an entry of this case may be text. It is false where a required field is no text: such an entry is read as values.
 * @param everywhere fields that every case reads as a value. They distinguish no case
 */
function takesAnyText({ marks, reading }: FieldPlan, at: number, everywhere: ReadonlySet<string>): boolean {
  return !marks(at).required.some((name) => !everywhere.has(name) && reading(at, name).kind === 'Value')
}

/** Whether one entry may fit both cases. */
function mayBoth(plan: FieldPlan, a: number, b: number): boolean {
  const [one, other] = [plan.cases[a], plan.cases[b]]
  if (one === undefined || other === undefined || onTwoSides(one, other)) return false
  const left = plan.marks(a)
  const right = plan.marks(b)
  if (left.required.some((name) => isForbidden(plan, b, name)) || right.required.some((name) => isForbidden(plan, a, name)))
    return false
  if (left.required.some((name) => differ(plan, a, b, name)) || right.required.some((name) => differ(plan, a, b, name)))
    return false
  // Each case has a mark of its own. An entry with both marks is rare, and its text stays text.
  return !(hasOwnMark(plan, left, b) && hasOwnMark(plan, right, a))
}

function onTwoSides(one: Case, other: Case): boolean {
  for (const [schema, side] of one.sides) if (other.sides.get(schema) === !side) return true
  return false
}

const isForbidden = (plan: FieldPlan, at: number, name: string) => plan.reading(at, name).types === 0

/** No text of the field is valid in both cases. */
function differ(plan: FieldPlan, a: number, b: number, name: string): boolean {
  const [one, other] = [plan.marks(a).choices.get(name), plan.marks(b).choices.get(name)]
  if (one !== undefined && other !== undefined)
    return !one.some((value) => other.some((same) => written(same) === written(value)))
  const [left, right] = [plan.reading(a, name), plan.reading(b, name)]
  return left.kind === 'Value' && right.kind === 'Value' && (left.types & right.types) === 0
}

const written = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

function hasOwnMark(plan: FieldPlan, { required }: Marks, other: number): boolean {
  return required.some((name) => !plan.reading(other, name).mentioned)
}
