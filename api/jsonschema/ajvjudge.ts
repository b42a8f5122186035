/**
 * The fast judge: ajv, which generates code from a schema. ajvschema.ts first rewrites the schema into one that ajv judges rightly. Own
 * keywords replace those of ajv that cost too much or compute differently.
 */
import { _, Ajv2020, type ErrorObject, type Format, type Options, type ValidateFunction } from 'ajv/dist/2020.js'
import { compilePattern } from '../validation/pattern.ts'
import { stepsOf } from './address.ts'
import { ajvSchema, stepKeyword } from './ajvschema.ts'
import { type Budget, BudgetSpent, costOf, createBudget } from './budget.ts'
import { createMultipleOf } from './decimal.ts'
import { canonical } from './equality.ts'
import { type FormatCheck, formatCheck, knownFormats } from './formats.ts'
import type { Survey } from './survey.ts'
import { tooCostly, tooDeep, type Violation } from './verdict.ts'

/** Undefined: the value is valid. */
export type Judge = (value: unknown) => Violation | undefined

export function createAjvJudge(survey: Survey, asserted: boolean): Judge {
  return judgeOf(ajvSchema(survey), asserted)
}

/** For schemas too large to lay out: ajv judges them as earlier releases did. */
export function createUnsurveyedJudge(schema: Readonly<Record<string, unknown>>): Judge {
  return judgeOf(schema, true)
}

function judgeOf(schema: unknown, asserted: boolean): Judge {
  const budget = createBudget()
  const ajv = ajvFor(budget, asserted)
  const validate = ajv.compile(schema as Record<string, unknown>)
  return (value) => {
    budget.start()
    try {
      return validate(value) ? undefined : violationOf(validate)
    } catch (thrown) {
      if (thrown instanceof BudgetSpent) return tooCostly
      if (thrown instanceof RangeError) return tooDeep
      throw thrown
    }
  }
}

function ajvFor(budget: Budget, asserted: boolean): Ajv2020 {
  const linear = (pattern: string) => {
    const matcher = compilePattern(pattern)
    // V8's own patterns take a nanosecond per character: counting them would cost as much.
    if (matcher instanceof RegExp) return matcher
    const test = (text: string) => {
      budget.read(text.length * costOf(matcher))
      return matcher.test(text)
    }
    // ajv caches one matcher per pattern text. Without a text of its own, every pattern would share the first matcher.
    return { test, toString: () => String(matcher) }
  }
  const options = {
    strict: false,
    // This is no matter of style: without it NaN passes as a number.
    strictNumbers: true,
    allErrors: false,
    inlineRefs: false,
    logger: false,
    validateFormats: asserted,
    validateSchema: false,
    // A stand-alone validator module would import `code`; none is generated here.
    code: { regExp: Object.assign(linear, { code: 'linear' }) },
  } as const satisfies Options
  const ajv = new Ajv2020(options)
  // ajv's class insists on tracking unevaluated members, for which it judges every branch of anyOf. The exact judge does that instead.
  ajv.opts.unevaluated = false
  addKeywords(ajv, budget)
  for (const name of knownFormats) {
    const check = formatCheck(name)
    if (check !== undefined) ajv.addFormat(name, { type: check.type, validate: counted(check, budget) } as Format)
  }
  return ajv
}

function counted({ type, test }: FormatCheck, budget: Budget): (value: never) => boolean {
  if (type === 'number') return test
  return (text: string) => {
    budget.scan(text.length)
    return test(text as never)
  }
}

function addKeywords(ajv: Ajv2020, budget: Budget): void {
  // ajv's own `uniqueItems` compares each item with each: 5,000 objects took 1.5 s.
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    validate: (wanted: boolean, items: readonly unknown[]) => !wanted || areUnique(items, budget),
  })
  // ajv's own keywords count the characters of every text. A character has one or two UTF-16 units, so the number of units decides
  // nearly always.
  for (const [keyword, compile] of Object.entries({ maxLength: createMaxLength, minLength: createMinLength })) {
    ajv.removeKeyword(keyword)
    ajv.addKeyword({
      ...{ keyword, type: 'string', schemaType: 'number', compile },
      error: { message: '', params: ({ schemaCode }) => _`{limit: ${schemaCode}}` },
    })
  }
  ajv.removeKeyword('multipleOf')
  ajv.addKeyword({
    keyword: 'multipleOf',
    type: 'number',
    schemaType: 'number',
    compile: createMultipleOf,
    error: { message: '', params: ({ schemaCode }) => _`{multipleOf: ${schemaCode}}` },
  })
  ajv.addKeyword({
    keyword: stepKeyword,
    schemaType: 'boolean',
    validate: () => {
      budget.step()
      return true
    },
  })
}

const createMaxLength = (most: number) => (text: string) =>
  text.length <= most || (text.length <= 2 * most && charactersIn(text) <= most)

const createMinLength = (least: number) => (text: string) =>
  text.length >= 2 * least || (text.length >= least && charactersIn(text) >= least)

/** A surrogate without its partner counts as one. */
function charactersIn(text: string): number {
  let count = 0
  for (const _character of text) count += 1
  return count
}

/** Each value is serialized once and looked up. */
export function areUnique(items: readonly unknown[], budget: Budget): boolean {
  const seen = new Set<string>()
  for (const item of items) {
    const text = canonical(item)
    budget.scan(text.length)
    if (seen.has(text)) return false
    seen.add(text)
  }
  return true
}

function violationOf({ errors }: ValidateFunction): Violation {
  // The outermost error comes last, after those of the branches below it. The error of `if` only repeats that a branch failed.
  const error = errors?.findLast(({ keyword }) => keyword !== 'if')
  if (error === undefined) return { place: [], keyword: 'schema', detail: undefined }
  const place = error.instancePath === '' ? [] : stepsOf(error.instancePath)
  return { place, keyword: error.keyword, detail: detailOf(error) }
}

function detailOf({ keyword, params }: ErrorObject): unknown {
  switch (keyword) {
    case 'required':
    case 'dependentRequired':
    case 'dependencies':
      return params['missingProperty']
    case 'additionalProperties':
      return params['additionalProperty']
    case 'propertyNames':
      return params['propertyName']
    case 'type':
    case 'pattern':
    case 'format':
    case 'multipleOf':
      return params[keyword]
    default:
      return params['limit']
  }
}
