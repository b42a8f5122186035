/**
 * The problem of a payload, in one form for every validator: the place in the payload and the rule, never the value. It goes into logs and
 * dead letters, which must not contain payload. Names of fields appear, shortened.
 */
import { quotedName } from '../printable.ts'
import { clip } from './finding.ts'

export interface Violation {
  /** Steps from the payload's root. */
  readonly place: readonly string[]
  readonly keyword: string
  /** The keyword's value in the schema, or a field's name where the keyword concerns one field. */
  readonly detail: unknown
}

export const tooCostly: Violation = { place: [], keyword: 'budget', detail: undefined }
export const tooDeep: Violation = { place: [], keyword: 'depth', detail: undefined }

const maxPlace = 200
const plainName = /^[\w$-]+$/

function spelled({ place }: Violation): string {
  if (place.length === 0) return 'the payload'
  const steps = place.slice(0, 50).map((step) => (plainName.test(step) ? step : quotedName(step)))
  return clip(steps.join('.'), maxPlace)
}

const plural = (count: unknown, one: string) => `${String(count)} ${one}${count === 1 ? '' : 's'}`
const quoted = (name: unknown) => quotedName(String(name))

const apostrophes = (name: unknown) => `'${quoted(name).slice(1, -1)}'`

const rules: Readonly<Record<string, (detail: unknown) => string>> = {
  type: (types) => `must be ${[types].flat().join(' or ')}`,
  const: () => 'must be the one value that the schema allows',
  enum: () => 'must be one of the values that the schema lists',
  minimum: (bound) => `must be at least ${String(bound)}`,
  maximum: (bound) => `must be at most ${String(bound)}`,
  exclusiveMinimum: (bound) => `must be more than ${String(bound)}`,
  exclusiveMaximum: (bound) => `must be less than ${String(bound)}`,
  multipleOf: (divisor) => `must be a multiple of ${String(divisor)}`,
  minLength: (count) => `must have at least ${plural(count, 'character')}`,
  maxLength: (count) => `must have at most ${plural(count, 'character')}`,
  pattern: (pattern) => `must match the pattern ${JSON.stringify(clip(String(pattern), 100))}`,
  format: (format) => `must have the format ${quoted(format)}`,
  minItems: (count) => `must have at least ${plural(count, 'item')}`,
  maxItems: (count) => `must have at most ${plural(count, 'item')}`,
  uniqueItems: () => 'must have no item twice',
  contains: () => 'must have as many items that match the schema under contains as the schema asks for',
  minProperties: (count) => `must have at least ${plural(count, 'property').replace('propertys', 'properties')}`,
  maxProperties: (count) => `must have at most ${plural(count, 'property').replace('propertys', 'properties')}`,
  required: (name) => `must have the required property ${apostrophes(name)}`,
  dependentRequired: (name) => `must have the property ${apostrophes(name)}, because of another that it has`,
  dependencies: (name) => `must have the property ${apostrophes(name)}, because of another that it has`,
  additionalProperties: (name) => `must not have the property ${quoted(name)}`,
  unevaluatedProperties: (name) => `must not have the property ${quoted(name)}`,
  propertyNames: (name) => `must not have a property of the name ${quoted(name)}`,
  items: () => 'must have no more items than the schema describes',
  unevaluatedItems: () => 'must have no more items than the schema describes',
  not: () => 'must not match the schema under not',
  anyOf: () => 'must match one of the schemas under anyOf',
  oneOf: () => 'must match exactly one of the schemas under oneOf',
  if: () => 'must match the schema under "then" or "else", whichever "if" selects',
  'false schema': () => 'must not be there',
  budget: () =>
    'takes too long to judge by the schema: it leads through too many references of the schema, or patterns read too much',
  depth: () => 'nests too deep to be judged by the schema',
}

export function describeViolation(violation: Violation): string {
  const rule = rules[violation.keyword]
  return `${spelled(violation)} ${rule === undefined ? `does not match the schema (${violation.keyword})` : rule(violation.detail)}`
}
