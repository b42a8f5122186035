/** Checks of a keyword's own value, in the words of schema authors. */
import { compilePattern } from '../validation/pattern.ts'
import { isRecord } from '../validation/problem.ts'
import { clip } from './finding.ts'
import type { FormKind } from './keywords.ts'

const types: readonly string[] = ['null', 'boolean', 'object', 'array', 'number', 'string', 'integer']

/** The value's kind, as a phrase: `the text "5"`, `a list`. */
function phrase(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  switch (typeof value) {
    case 'string':
      return `the text ${JSON.stringify(clip(value, 60))}`
    case 'number':
      return `the number ${value}`
    case 'boolean':
      return String(value)
    default:
      return 'an object'
  }
}

const isNames = (value: unknown): boolean =>
  Array.isArray(value) && value.every((name) => typeof name === 'string') && new Set(value).size === value.length
const isSchema = (value: unknown): boolean => isRecord(value) || typeof value === 'boolean'

/** The remedy for a value of the wrong form. Undefined: the form is right. Schemas inside are not examined. */
const expected: Readonly<Record<FormKind, (value: unknown) => string | undefined>> = {
  Any: () => undefined,
  Text: (value) => (typeof value === 'string' ? undefined : 'write a text'),
  Boolean: (value) => (typeof value === 'boolean' ? undefined : 'write true or false'),
  Number: (value) => (typeof value === 'number' ? undefined : 'write a number'),
  Divisor: (value) => (typeof value === 'number' && value > 0 ? undefined : 'write a number above 0'),
  Count: (value) => (Number.isInteger(value) && (value as number) >= 0 ? undefined : 'write a whole number, 0 or more'),
  Pattern: (value) => (typeof value === 'string' ? undefined : 'write a regular expression as a text'),
  Types: typesExpected,
  List: (value) => (Array.isArray(value) ? undefined : 'write a list of values'),
  Names: (value) => (isNames(value) ? undefined : 'write a list of property names, each once'),
  NamesByName: (value) =>
    isRecord(value) && Object.values(value).every(isNames) ? undefined : 'write an object of lists of property names, each once',
  Identifier: (value) => {
    if (typeof value !== 'string') return 'write a URI as a text'
    return /^[^#]*#?$/.test(value) ? undefined : 'write a URI without a fragment; a name within the schema is an $anchor'
  },
  Anchor: (value) =>
    typeof value === 'string' && /^[A-Za-z_][-A-Za-z0-9._]*$/.test(value)
      ? undefined
      : 'write a name of letters, digits, "-", "_" and ".", that begins with a letter or "_"',
  Reference: (value) => (typeof value === 'string' ? undefined : 'write a reference such as "#/$defs/name"'),
  Dialect: (value) =>
    typeof value === 'string' ? undefined : 'write "https://json-schema.org/draft/2020-12/schema", or drop it',
  Vocabulary: (value) =>
    isRecord(value) && Object.values(value).every((required) => typeof required === 'boolean')
      ? undefined
      : 'write an object of booleans, or drop it',
  Schema: (value) => (isSchema(value) ? undefined : 'write a schema: an object, true or false'),
  Schemas: (value) =>
    Array.isArray(value) && value.length > 0 && value.every(isSchema) ? undefined : 'write a list of schemas, at least one',
  SchemaByName: (value) => (isRecord(value) && Object.values(value).every(isSchema) ? undefined : 'write an object of schemas'),
  SchemaByPattern: (value) =>
    isRecord(value) && Object.values(value).every(isSchema)
      ? undefined
      : 'write an object of schemas, each by a regular expression',
  Dependencies: (value) =>
    isRecord(value) && Object.values(value).every((member) => isSchema(member) || isNames(member))
      ? undefined
      : 'write an object of schemas or lists of property names',
}

function typesExpected(value: unknown): string | undefined {
  const named = Array.isArray(value) ? value : [value]
  const sound = named.length > 0 && new Set(named).size === named.length && named.every((type) => types.includes(type as string))
  return sound ? undefined : `write one of ${types.join(', ')}, or a list of them, each once`
}

/** Forms of older drafts, for a more precise message than the rule gives. */
function olderForm(keyword: string, value: unknown): string | undefined {
  if (keyword === 'items' && Array.isArray(value)) {
    return 'a list of schemas under items is of draft 7: write prefixItems for it, and items for those that follow'
  }
  if ((keyword === 'exclusiveMinimum' || keyword === 'exclusiveMaximum') && typeof value === 'boolean') {
    const bound = keyword === 'exclusiveMinimum' ? 'minimum' : 'maximum'
    return `a boolean here is of draft 4: write ${keyword} with the number instead of ${bound}`
  }
  if (keyword === 'required' && typeof value === 'boolean') {
    return 'a boolean here is of draft 3: write required as a list of names beside properties'
  }
  return undefined
}

/** Describes the problem of a keyword's value and the remedy, if there is one. */
export function valueProblem(keyword: string, form: FormKind, value: unknown): string | undefined {
  const remedy = olderForm(keyword, value) ?? expected[form](value)
  return remedy === undefined ? undefined : `not a JSON Schema: ${keyword} is ${phrase(value)}: ${remedy}`
}

/** Where only one member of a list or object of schemas is wrong, the finding names the member. */
export function memberProblem(
  form: FormKind,
  value: unknown,
): { readonly step: string | number; readonly message: string } | undefined {
  const members: readonly (readonly [string | number, unknown])[] =
    form === 'Schemas' && Array.isArray(value)
      ? value.map((member, index) => [index, member])
      : (form === 'SchemaByName' || form === 'SchemaByPattern') && isRecord(value)
        ? Object.entries(value)
        : []
  const wrong = members.find(([, member]) => !isSchema(member))
  if (wrong === undefined) return undefined
  const [step, member] = wrong
  const name = typeof step === 'number' ? 'this' : JSON.stringify(clip(step, 60))
  return { step, message: `not a JSON Schema: ${name} is ${phrase(member)}: ${expected.Schema(member)}` }
}

/** Explains why a regular expression cannot be used, if so. */
export function patternProblem(pattern: string): string | undefined {
  try {
    compilePattern(pattern)
    return undefined
  } catch (thrown) {
    const detail = clip(thrown instanceof Error ? thrown.message : String(thrown), 500)
    if (!(thrown instanceof SyntaxError)) return detail
    const [why] = detail.split(': ').slice(-1)
    return `pattern ${JSON.stringify(clip(pattern, 100))} is no regular expression (${why}): correct it`
  }
}
