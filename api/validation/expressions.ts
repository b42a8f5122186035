/**
 * CEL as the API server runs it: integers are int64, quantities and `format` are Kubernetes' extensions, and a rule that names
 * `oldSelf` is run only on a change.
 */
import { Environment } from '@marcbachmann/cel-js'
import { parseQuantity } from '../quantity.ts'
import { type Rule, rulesOf } from '../schema/rules.ts'
import type { Structure } from '../structure.ts'
import { isRecord, type Problem, under } from './problem.ts'

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

/** @throws whatever CEL throws: a rule that fails to run is a defect of the rule */
export function evaluate(expression: string, self: unknown, oldSelf?: unknown): unknown {
  let program = parsed.get(expression)
  if (program === undefined) {
    program = prepared().parse(expression)
    parsed.set(expression, program)
  }
  return program(oldSelf === undefined ? { self } : { self, oldSelf })
}

/** Numbers become int64, as they are typed in the schema (none of its fields is a float). */
function forCel(value: unknown): unknown {
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value)
  if (Array.isArray(value)) return value.map(forCel)
  if (isRecord(value)) return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, forCel(inner)]))
  return value
}

function broken(rule: Rule, self: unknown, oldSelf: unknown, path: string): Problem[] {
  if (/\boldSelf\b/.test(rule.rule) && oldSelf === undefined) return []
  if (evaluate(rule.rule, self, oldSelf) === true) return []
  const said = rule.messageExpression === undefined ? rule.message : evaluate(rule.messageExpression, self, oldSelf)
  return [{ field: `${path}${rule.fieldPath ?? ''}`.replace(/^\./, ''), message: String(said) }]
}

function walk(self: unknown, oldSelf: unknown, structure: Structure, path: string): Problem[] {
  if (self === undefined) return []
  const found = rulesOf(structure).flatMap((rule) => broken(rule, self, oldSelf, path))
  if (Array.isArray(self)) {
    const { items } = structure
    // Lists here are atomic or keyed by name; none has a rule about change inside, so old items need no matching.
    if (items !== undefined)
      found.push(...self.flatMap((item: unknown, index) => walk(item, undefined, items, under(path, index))))
  } else if (isRecord(self)) {
    for (const [name, inner] of Object.entries(self)) {
      const previous = isRecord(oldSelf) ? oldSelf[name] : undefined
      const { properties: { [name]: field } = {}, additionalProperties: value } = structure
      if (field !== undefined) found.push(...walk(inner, previous, field, under(path, name)))
      // As the API server spells the place of a map's value; for a type error it uses a dot there too.
      else if (value !== undefined) found.push(...walk(inner, previous, value, `${path}[${name}]`))
    }
  }
  return found
}

/** Breaches of the schema's CEL rules by a defaulted value that has the right shape. */
export function ruleProblems(value: unknown, previous: unknown, structure: Structure): Problem[] {
  return walk(forCel(value), previous === undefined ? undefined : forCel(previous), structure, '')
}
