/**
 * A schema's keywords in the form of the exact judge's evaluator: `[id, origin, value]`. The value has the form that the evaluator's own
 * compiler would give it. A test runs the standard's whole suite through it, and so notices a release of the library that changes a form.
 */
import { compilePattern } from '../validation/pattern.ts'
import { areUnique } from './ajvjudge.ts'
import { type Budget, costOf } from './budget.ts'
import { createMultipleOf } from './decimal.ts'
import { type Check, checkKeyword, engine, standardKeyword } from './engine.ts'
import { canonical } from './equality.ts'
import { formatCheck } from './formats.ts'
import { formOf, shelves } from './keywords.ts'
import type { SchemaNode } from './node.ts'
import { nullableType } from './nullable.ts'
import { referenceKeywords, type Survey } from './survey.ts'

/** The keyword's name in the schema, for messages: the library holds a URI instead. */
export interface Origin {
  readonly keyword: string
  readonly value: unknown
}

type CompiledKeyword = readonly [id: string, origin: Origin, value: unknown]

/** The evaluator takes a schema's resource from its URL. */
export const urlOf = (node: SchemaNode): string => `${node.base}#${node.key}`

/** One keyword in its place, and its written form. */
interface Keyword {
  readonly keyword: string
  readonly value: unknown
  readonly node: SchemaNode
  readonly schema: Readonly<Record<string, unknown>>
  readonly survey: Survey
  readonly budget: Budget
  readonly asserted: boolean
  /** The URL of the schema under the keyword, or under a name in it. */
  at(...steps: (string | number)[]): string
  as(value: unknown, id?: string): CompiledKeyword
  check(test: Check): CompiledKeyword
}

export function compileKeywords(
  node: SchemaNode,
  schema: Readonly<Record<string, unknown>>,
  survey: Survey,
  { budget, asserted }: { readonly budget: Budget; readonly asserted: boolean },
): CompiledKeyword[] {
  const all = Object.entries(schema).flatMap(([keyword, value]) => {
    const origin = { keyword, value }
    return compileKeyword({
      ...{ keyword, value, node, schema, survey, budget, asserted },
      at: (...steps) => urlOf(survey.inner(node, keyword, ...steps)),
      as: (compiled, id = standardKeyword(keyword)) => [id, origin, compiled],
      check: (test) => [checkKeyword, origin, test],
    })
  })
  // The unevaluated keywords depend on the members that other keywords evaluated.
  const last = ([, { keyword }]: CompiledKeyword) => (keyword.startsWith('unevaluated') ? 1 : 0)
  return all.sort((a, b) => last(a) - last(b))
}

function compileKeyword(written: Keyword): CompiledKeyword[] {
  const { keyword, value, schema, node, survey, budget, at, as } = written
  if (referenceKeywords.includes(keyword)) return reference(written)
  if (shelves.has(keyword)) return []
  const byName = (names: readonly string[]) => names.map((name): [string, string] => [name, at(name)])
  switch (keyword) {
    case 'const':
    case 'enum':
    case 'uniqueItems':
    case 'multipleOf':
    case 'format':
      return valueCheck(written)
    case 'type':
      return [as(nullableType(schema))]
    case 'pattern':
      return [as(matcher(value as string, budget))]
    case 'patternProperties':
      return [as(Object.keys(value as object).map((pattern) => [matcher(pattern, budget), at(pattern)]))]
    case 'properties':
      return [as(withoutPrototype(byName(Object.keys(value as object))))]
    case 'additionalProperties':
      return [as([declaredIn(schema, budget), at()])]
    case 'dependentSchemas':
      return [as(byName(Object.keys(value as object)))]
    case 'dependentRequired':
      return [as(Object.entries(value as object))]
    case 'dependencies': {
      const members = Object.entries(value as object)
      const names = members.filter(([, member]) => Array.isArray(member))
      const schemas = byName(members.filter(([, member]) => !Array.isArray(member)).map(([name]) => name))
      return [as(names, standardKeyword('dependentRequired')), as(schemas, standardKeyword('dependentSchemas'))]
    }
    case 'items':
      return [as([Array.isArray(schema['prefixItems']) ? schema['prefixItems'].length : 0, at()])]
    case 'contains': {
      const { minContains = 1, maxContains = Number.MAX_SAFE_INTEGER } = schema
      return [as({ contains: at(), minContains, maxContains })]
    }
    case 'minContains':
    case 'maxContains':
      return []
    case 'then':
    case 'else':
      return Object.hasOwn(schema, 'if') ? [as([urlOf(survey.inner(node, 'if')), at()])] : []
    default:
      return byForm(written)
  }
}

function byForm({ keyword, value, at, as }: Keyword): CompiledKeyword[] {
  switch (formOf(keyword)) {
    case 'Schema':
      return [as(at())]
    case 'Schemas':
      return [as((value as unknown[]).map((_, index) => at(index)))]
    case 'Number':
    case 'Names':
    case 'Count':
      return [as(value)]
    default:
      // Annotations, and keywords that name schemas.
      return []
  }
}

function reference({ keyword, node, survey, as, check }: Keyword): CompiledKeyword[] {
  const target = survey.target(node, keyword)
  if (target === undefined) return []
  const url = urlOf(target.node)
  if (target.kind === 'Static') return [as(url, standardKeyword('ref'))]
  const { name } = target
  return [
    check((_, instance, context) => {
      const { dynamicAnchors = {} } = context
      const outermost = Object.hasOwn(dynamicAnchors, name) ? dynamicAnchors[name] : undefined
      return engine().engine.Validation.interpret(outermost ?? url, instance, context)
    }),
  ]
}

/** Keywords that must judge as the fast judge does, or that the library judges differently. */
function valueCheck({ keyword, value, budget, asserted, check }: Keyword): CompiledKeyword[] {
  switch (keyword) {
    case 'uniqueItems':
      return value === true ? [check((held) => !Array.isArray(held) || areUnique(held, budget))] : []
    case 'multipleOf': {
      const divides = createMultipleOf(value as number)
      return [check((held) => typeof held !== 'number' || divides(held))]
    }
    case 'format': {
      const known = asserted ? formatCheck(String(value)) : undefined
      if (known === undefined) return []
      return [
        check((held) => {
          if (typeof held !== known.type) return true
          if (typeof held === 'string') budget.scan(held.length)
          return known.test(held as never)
        }),
      ]
    }
    default: {
      const allowed = new Set((keyword === 'const' ? [value] : (value as unknown[])).map(canonical))
      return [
        check((held) => {
          const text = canonical(held)
          budget.scan(text.length)
          return allowed.has(text)
        }),
      ]
    }
  }
}

function matcher(pattern: string, budget: Budget): { test(text: string): boolean } {
  const linear = compilePattern(pattern)
  const cost = costOf(linear)
  return {
    test(text) {
      budget.read(text.length * cost)
      return linear.test(text)
    },
  }
}

/** The evaluator uses `in`, which would find `toString` in a prototype. */
function withoutPrototype(entries: readonly (readonly [string, string])[]): object {
  const members: Record<string, string> = Object.create(null)
  for (const [name, url] of entries) members[name] = url
  return members
}

function declaredIn(schema: Readonly<Record<string, unknown>>, budget: Budget): { test(name: string): boolean } {
  const names = new Set(Object.keys(schema['properties'] ?? {}))
  const patterns = Object.keys(schema['patternProperties'] ?? {}).map((pattern) => matcher(pattern, budget))
  return { test: (name) => names.has(name) || patterns.some((pattern) => pattern.test(name)) }
}
