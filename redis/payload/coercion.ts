/**
 * Text to typed value, for payloads whose fields are the stream entry's own fields. Redis carries only strings; the schema decides their
 * types. A text has at most one other reading, as JSON. So each field is either its text or that value.
 *
 * - Text that the schema allows stays text. A field is read as a value only where no text can satisfy the schema, and nothing is lost by
 *   it.
 * - `anyOf`, `oneOf`, `if` or `dependentSchemas` may type a field. The entry is then compared with each alternative. An alternative is out
 *   where the entry lacks its `const` or a required field. A type on which the remaining alternatives agree decides the field.
 * - Where they disagree, the validator tries the readings in turn: all as text, all as values, then as each alternative types them.
 */
import { createFieldPlan, type FieldPlan } from '../../api/fieldtypes/plan.ts'
import { isHeld, numberForm } from '../../api/heldnumbers.ts'
import { createBudget } from '../../api/jsonschema/budget.ts'
import { type EntryFields, show, Unreadable } from './fields.ts'
import { parseExactly } from './json.ts'

type PayloadObject = Readonly<Record<string, unknown>>

interface Interpretation {
  readonly data: PayloadObject
  /** Further readings, in order, for data that satisfy no schema. They are made on demand. Undefined: there are none. */
  readonly others?: () => Iterable<PayloadObject>
}

/** Throws Unreadable for JSON that JavaScript cannot hold without loss, and BudgetSpent where the schema's patterns read too much. */
export type Coercion = (entry: EntryFields) => Interpretation

/** Alternatives tried for one entry, after all as text and all as values. */
const mostTries = 16

export function createCoercion(schema: PayloadObject | undefined): Coercion {
  if (schema === undefined) return ({ names, texts }) => ({ data: assemble(names, texts) })
  const budget = createBudget()
  const plan = createFieldPlan(schema, budget.read)
  const read =
    plan.cases.length === 1
      ? (entry: EntryFields) => ({ data: readBy(plan, entry) })
      : (entry: EntryFields) => readAmong(plan, entry)
  return (entry) => {
    budget.start()
    return read(entry)
  }
}

/** With one case, each field is read by itself. */
function readBy(plan: FieldPlan, { names, texts }: EntryFields): PayloadObject {
  const data: Record<string, unknown> = {}
  for (let index = 0; index < names.length; index++) {
    const name = names[index] ?? ''
    const text = texts[index] ?? ''
    add(data, name, isText(plan, 0, name, text) ? text : typed(name, text))
  }
  return data
}

function isText(plan: FieldPlan, at: number, name: string, text: string): boolean {
  const reading = plan.reading(at, name)
  switch (reading.kind) {
    case 'Text':
      return true
    case 'Value':
      return false
    case 'Either':
      return !mayBeJson(text) || plan.takes(reading.schemas, text)
    default:
      return reading satisfies never
  }
}

function readAmong(plan: FieldPlan, entry: EntryFields): Interpretation {
  const { names, texts } = entry
  const cases = plausible(plan, entry)
  /** Whether it is text in each case, for each field that has another reading. */
  const open: { readonly index: number; readonly value: unknown; readonly asText: readonly boolean[] }[] = []
  const values: unknown[] = [...texts]
  for (const [index, name] of names.entries()) {
    const text = texts[index] ?? ''
    if (!mayBeJson(text)) continue
    const asText = cases.map((at) => isText(plan, at, name, text))
    if (!asText.includes(false)) continue
    if (!asText.includes(true)) values[index] = typed(name, text)
    else {
      const other = otherReading(text)
      if (other.kind === 'Value') open.push({ index, value: other.value, asText })
    }
  }
  const data = assemble(names, values)
  if (open.length === 0) return { data }
  const others = function* () {
    const tried = new Set([open.map(() => true).join()])
    const choices = [
      open.map(() => false),
      ...cases.slice(0, mostTries).map((_, way) => open.map(({ asText }) => asText[way] ?? true)),
    ]
    for (const choice of choices) {
      if (tried.has(choice.join())) continue
      tried.add(choice.join())
      const chosen = [...values]
      for (const [at, { index, value }] of open.entries()) if (choice[at] === false) chosen[index] = value
      yield assemble(names, chosen)
    }
  }
  return { data, others }
}

/** The cases that fit the entry. Where none fits, all of them, so that the validator can give the reason. */
function plausible(plan: FieldPlan, { names, texts }: EntryFields): readonly number[] {
  const entry = new Map(names.map((name, index) => [name, texts[index] ?? '']))
  const all = plan.cases.map((_, at) => at)
  const fitting = all.filter((at) => {
    const { required, without, choices } = plan.marks(at)
    if (required.some((name) => !entry.has(name)) || without.some((name) => entry.has(name))) return false
    if (names.some((name) => plan.reading(at, name).types === 0)) return false
    for (const [name, values] of choices) {
      const text = entry.get(name)
      if (text !== undefined && !values.some((value) => mayStandFor(text, value))) return false
    }
    return true
  })
  return fitting.length === 0 ? all : fitting
}

function mayStandFor(text: string, value: unknown): boolean {
  if (typeof value === 'string') return text === value
  if (typeof value === 'number') return numberForm.test(text) && Number(text) === value
  return typeof value === 'object' && value !== null ? mayBeJson(text) : text === String(value)
}

/** A text that is, or begins, a value other than text. */
function mayBeJson(text: string): boolean {
  const first = text.charCodeAt(0)
  if (first === 0x7b || first === 0x5b) return true
  if (first === 0x2d || (first >= 0x30 && first <= 0x39)) return numberForm.test(text)
  return text === 'true' || text === 'false' || text === 'null'
}

type Other = { readonly kind: 'Value'; readonly value: unknown } | { readonly kind: 'None' | 'Unfit'; readonly why: string }

/** The value that the text also spells. */
function otherReading(text: string): Other {
  const first = text.charCodeAt(0)
  if (first === 0x7b || first === 0x5b) {
    const found = parseExactly(text)
    switch (found.kind) {
      case 'Value':
        return found
      case 'Unfit':
        return { kind: 'Unfit', why: found.why }
      case 'NotJson':
        return none
      default:
        return found satisfies never
    }
  }
  if (first === 0x2d || (first >= 0x30 && first <= 0x39)) {
    if (text.length <= mostShort && shortForm.test(text)) return { kind: 'Value', value: Number(text) + 0 }
    // JavaScript writes zero without a sign in JSON, so no sign reaches a worker.
    return numberForm.test(text) && isHeld(text) ? { kind: 'Value', value: Number(text) + 0 } : none
  }
  if (text === 'true') return { kind: 'Value', value: true }
  if (text === 'false') return { kind: 'Value', value: false }
  return text === 'null' ? { kind: 'Value', value: null } : none
}

/** A double holds any fifteen digits without an exponent. */
const mostShort = 15
const shortForm = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/

const none: Other = { kind: 'None', why: '' }

/** The value that the text spells. If it spells none, or a number that would change, the text itself: validation refuses it. */
function typed(name: string, text: string): unknown {
  const other = otherReading(text)
  if (other.kind === 'Unfit') throw new Unreadable(`field ${show(name)} ${other.why}`)
  return other.kind === 'Value' ? other.value : text
}

function assemble(names: readonly string[], values: readonly unknown[]): PayloadObject {
  const data: Record<string, unknown> = {}
  for (let index = 0; index < names.length; index++) add(data, names[index] ?? '', values[index])
  return data
}

/** Sets an own property of any name: an assignment to `__proto__` would set the prototype. */
function add(data: Record<string, unknown>, name: string, value: unknown): void {
  if (Object.hasOwn(data, name)) throw new Unreadable(`field ${show(name)} occurs twice`)
  if (name !== '__proto__') data[name] = value
  else Object.defineProperty(data, name, { value, writable: true, enumerable: true, configurable: true })
}
