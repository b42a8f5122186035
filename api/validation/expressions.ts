/**
 * CEL as the API server runs it. Integers are int64. Quantities and `format` are Kubernetes' extensions. A rule that names
 * `oldSelf` runs only on a change.
 */
import { Environment } from '@marcbachmann/cel-js'
import { parseQuantity } from '../quantity.ts'
import { type Rule, rulesOf } from '../schema/rules.ts'
import type { Structure } from '../structure.ts'
import { isRecord, type Problem } from './problem.ts'

/** Kubernetes' whole grammar of quantities; only those that are sizes are ever computed with. */
const quantityForm = /^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$/

class Quantity {
  readonly bytes: number
  constructor(bytes: number) {
    this.bytes = bytes
  }
}

function quantity(text: string): Quantity {
  const bytes = parseQuantity(text)
  if (bytes === undefined) throw new TypeError(`${text} is not a quantity`)
  return new Quantity(bytes)
}

function formatted(template: string, values: readonly unknown[]): string {
  let next = 0
  return template.replaceAll(/%[sd]/g, () => String(values[next++]))
}

let environment: Environment | undefined
function prepared(): Environment {
  environment ??= new Environment({ homogeneousAggregateLiterals: false })
    .registerVariable('self', 'dyn')
    .registerVariable('oldSelf', 'dyn')
    .registerType('Quantity', Quantity)
    .registerFunction('isQuantity(string): bool', (text: string) => quantityForm.test(text))
    .registerFunction('quantity(string): Quantity', quantity)
    .registerFunction('Quantity.isInteger(): bool', ({ bytes }: Quantity) => Number.isSafeInteger(bytes))
    .registerFunction('Quantity.asInteger(): int', ({ bytes }: Quantity) => BigInt(bytes))
    .registerFunction('string.format(list): string', formatted)
  return environment
}

const parsed = new Map<string, ReturnType<Environment['parse']>>()

function evaluate(expression: string, self: unknown, oldSelf?: unknown): unknown {
  let program = parsed.get(expression)
  if (program === undefined) {
    program = prepared().parse(expression)
    parsed.set(expression, program)
  }
  return program(oldSelf === undefined ? { self } : { self, oldSelf })
}

/**
 * The part of a value that CEL sees: only the fields that the schema names. Numbers become int64, for no field is a float; maps
 * become Map, since CEL's implementation takes an object with a key `constructor` for something else.
 */
function seen(value: unknown, structure: Structure): unknown {
  if (typeof value === 'number') return BigInt(value)
  if (Array.isArray(value)) return value.map((item) => seen(item, structure.items ?? {}))
  if (!isRecord(value)) return value
  const { properties = {}, additionalProperties } = structure
  if (additionalProperties !== undefined) {
    return new Map(Object.entries(value).map(([name, inner]) => [name, seen(inner, additionalProperties)]))
  }
  const known = Object.entries(properties).filter(([name]) => Object.hasOwn(value, name))
  return Object.fromEntries(known.map(([name, inner]) => [name, seen(value[name], inner)]))
}

function broken(rule: Rule, self: unknown, oldSelf: unknown, path: string): Problem[] {
  if (/\boldSelf\b/.test(rule.rule) && oldSelf === undefined) return []
  const field = `${path}${rule.fieldPath ?? ''}`
  const verdict = attempt(rule.rule, self, oldSelf)
  if (verdict.value === true) return []
  if (verdict.failed !== undefined) return [{ field, message: `rule not evaluated (${verdict.failed}): ${rule.message}` }]
  const { value } = rule.messageExpression === undefined ? {} : attempt(rule.messageExpression, self, oldSelf)
  return [{ field, message: typeof value === 'string' ? value : rule.message }]
}

/** As in the API server, a rule that fails to run refuses the value, and a message that fails falls back to the plain one. */
function attempt(expression: string, self: unknown, oldSelf: unknown): { readonly value?: unknown; readonly failed?: string } {
  try {
    return { value: evaluate(expression, self, oldSelf) }
  } catch (thrown) {
    return { failed: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}

/** The children a schema names, with their place as the API server spells it: a map's values are in brackets. */
function inside(value: unknown, structure: Structure): [step: string, inner: unknown, structure: Structure, name: string][] {
  const { items, properties = {}, additionalProperties } = structure
  if (Array.isArray(value)) return items === undefined ? [] : value.map((item, index) => [`[${index}]`, item, items, ''])
  if (value instanceof Map)
    return additionalProperties === undefined
      ? []
      : [...value].map(([name, inner]) => [`[${name}]`, inner, additionalProperties, ''])
  if (!isRecord(value)) return []
  const present = Object.entries(properties).filter(([name]) => value[name] !== undefined)
  return present.map(([name, inner]) => [`.${name}`, value[name], inner, name])
}

const guarded = new WeakMap<Structure, boolean>()

/** Whether it, or anything in it, has a rule. */
function isGuarded(structure: Structure): boolean {
  const known = guarded.get(structure)
  if (known !== undefined) return known
  const { items, properties = {}, additionalProperties } = structure
  const inner = [items, additionalProperties, ...Object.values(properties)].filter((each) => each !== undefined)
  const answer = rulesOf(structure).length > 0 || inner.some(isGuarded)
  guarded.set(structure, answer)
  return answer
}

function walk(self: unknown, oldSelf: unknown, structure: Structure, path: string): Problem[] {
  if (self === undefined || !isGuarded(structure)) return []
  const own = rulesOf(structure).flatMap((rule) => broken(rule, self, oldSelf, path))
  // Items of lists and maps are not matched with old ones: none of them has a rule about change.
  const inner = inside(self, structure).flatMap(([step, value, next, name]) =>
    walk(value, isRecord(oldSelf) && name !== '' ? oldSelf[name] : undefined, next, `${path}${step}`),
  )
  return [...own, ...inner]
}

/** Breaches of the schema's CEL rules by a defaulted value that has the right shape. */
export function ruleProblems(value: unknown, previous: unknown, structure: Structure): Problem[] {
  const old = previous === undefined ? undefined : seen(previous, structure)
  return walk(seen(value, structure), old, structure, '').map((problem) => ({
    ...problem,
    field: problem.field.replace(/^\./, ''),
  }))
}
