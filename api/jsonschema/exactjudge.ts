/**
 * The exact judge: @hyperjump/json-schema. It evaluates a compiled schema as the standard words it, with annotations and dynamic scope. It
 * judges the schemas that ajv gets wrong (choice.ts), and takes many times as long.
 *
 * The library's compiler fetches, is asynchronous, and keeps schemas for the whole process. So only its evaluator is used.
 * exactkeywords.ts writes the survey's result in the evaluator's compiled form, with matchers in linear time. A few own keywords
 * judge as the fast judge does.
 */
import type { EvaluationPlugin, ValidationContext } from '@hyperjump/json-schema/experimental'
import type { JsonNode } from '@hyperjump/json-schema/instance/experimental'
import { isRecord } from '../validation/problem.ts'
import { stepsOf } from './address.ts'
import type { Judge } from './ajvjudge.ts'
import { type Budget, BudgetSpent, createBudget } from './budget.ts'
import { type Context, engine, standardKeyword } from './engine.ts'
import { compileKeywords, type Origin, urlOf } from './exactkeywords.ts'
import type { Survey } from './survey.ts'
import { tooCostly, tooDeep, type Violation } from './verdict.ts'

/** Each evaluated schema counts: a microsecond or two. */
const maxEvaluations = 500_000

type Plugin = EvaluationPlugin<Context>

/** The violation of the last value judged. */
interface Note {
  violation?: Violation | undefined
}

export function createExactJudge(survey: Survey, asserted: boolean): Judge {
  const { engine: evaluator, instance } = engine()
  const budget = createBudget(maxEvaluations)
  const note: Note = {}
  const { ast, plugins } = compiled(survey, { budget, asserted })
  plugins.add(watching(budget, note))
  const root = urlOf(survey.root)
  return (value) => {
    budget.start()
    note.violation = undefined
    try {
      const context = { ast, plugins: [...plugins] } as unknown as ValidationContext
      if (evaluator.Validation.interpret(root, instance.fromJs(value as never), context)) return undefined
      return note.violation ?? { place: [], keyword: 'schema', detail: undefined }
    } catch (thrown) {
      if (thrown instanceof BudgetSpent) return tooCostly
      if (thrown instanceof RangeError) return tooDeep
      throw thrown
    }
  }
}

function compiled(survey: Survey, making: { readonly budget: Budget; readonly asserted: boolean }) {
  const ast: Record<string, unknown> = Object.create(null)
  const metaData: Record<string, { dynamicAnchors: Record<string, string> }> = Object.create(null)
  const plugins = new Set<Plugin>()
  const reached = new Map(survey.reached.map((node) => [node.key, node]))
  const add = (keyword: string) => plugins.add(engine().engine.getKeyword(standardKeyword(keyword)).plugin as Plugin)
  for (const node of survey.reached) {
    const { value, base } = node
    metaData[base] ??= {
      dynamicAnchors: Object.fromEntries(
        [...(survey.dynamicAnchors.get(base) ?? [])].flatMap(([name, key]) => {
          const there = reached.get(key)
          return there === undefined ? [] : [[name, urlOf(there)]]
        }),
      ),
    }
    ast[urlOf(node)] = typeof value === 'boolean' ? value : compileKeywords(node, value, survey, making)
    if (typeof value === 'boolean') continue
    for (const keyword of ['unevaluatedProperties', 'unevaluatedItems']) if (Object.hasOwn(value, keyword)) add(keyword)
    if (survey.target(node, '$dynamicRef')?.kind === 'Dynamic') add('dynamicRef')
  }
  return { ast: Object.assign(ast, { metaData, plugins }), plugins }
}

/** Counts evaluations. It keeps the first rule that failed in each schema, at the depth that explains the failure. */
function watching(budget: Budget, note: Note): Plugin {
  return {
    beforeSchema: () => budget.step(),
    afterKeyword([, origin], instance, context, valid, schemaContext) {
      if (valid || schemaContext.violation !== undefined) return
      schemaContext.violation = explained(origin as unknown as Origin, instance, context.violation)
    },
    afterSchema(_, instance, context, valid) {
      if (valid) return
      context.violation ??= { place: placeOf(instance), keyword: 'false schema', detail: undefined }
      // The evaluator ends with the outermost failed schema. Its violation is the one that stays.
      note.violation = context.violation
    },
  }
}

/** Failures below these keywords are no failures of the value. */
const opaque = new Set(['not', 'if', 'contains', 'anyOf', 'oneOf'])

function explained({ keyword, value }: Origin, instance: JsonNode, inner: Violation | undefined): Violation {
  const place = placeOf(instance)
  if (inner === undefined || opaque.has(keyword)) return { place, keyword, detail: detailOf(keyword, value, instance) }
  // A `false` schema has no rule to report; the name that it forbids stands for it.
  const forbids = value === false && inner.keyword === 'false schema'
  return keyword === 'propertyNames' || forbids ? { place, keyword, detail: inner.place.at(-1) } : inner
}

function placeOf({ pointer }: JsonNode): readonly string[] {
  const plain = pointer.startsWith('*') ? pointer.slice(1) : pointer
  return plain === '' ? [] : stepsOf(plain)
}

function detailOf(keyword: string, value: unknown, node: JsonNode): unknown {
  const held: unknown = engine().instance.value(node)
  if (!isRecord(held)) return value
  const missing = (names: unknown) =>
    Array.isArray(names) ? names.find((name) => !Object.hasOwn(held, String(name))) : undefined
  if (keyword === 'required') return missing(value)
  if (keyword !== 'dependentRequired' && keyword !== 'dependencies') return value
  const present = Object.entries(value as object).filter(([name]) => Object.hasOwn(held, name))
  return present.map(([, names]) => missing(names)).find((name) => name !== undefined)
}
