/**
 * The fast judge: ajv, which makes code of a schema. It gets the schema rewritten into what it judges rightly (ajvschema.ts), with
 * our own keywords where its own cost too much or reckon otherwise.
 */
import { _, Ajv2020, type ErrorObject, type Format, type Options, type ValidateFunction } from 'ajv/dist/2020.js'
import { compilePattern } from '../validation/pattern.ts'
import { stepsOf } from './address.ts'
import { ajvSchema, stepKeyword } from './ajvschema.ts'
import { type Budget, BudgetSpent, createBudget } from './budget.ts'
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

/** For what is larger than anything is laid out for: as releases before ran it. */
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
    // V8's own are a nanosecond per character: counting them would cost as much.
    if (matcher instanceof RegExp) return matcher
    const test = (text: string) => {
      budget.read(text.length)
      return matcher.test(text)
    }
    // ajv keeps one matcher per text of its own: without one, all patterns of a schema would be the first.
    return { test, toString: () => String(matcher) }
  }
  const options = {
    strict: false,
    // Not a matter of style: without it NaN is a number.
    strictNumbers: true,
    allErrors: false,
    inlineRefs: false,
    logger: false,
    validateFormats: asserted,
    validateSchema: false,
    // `code` would be what a stand-alone validator module imports; none is generated here.
    code: { regExp: Object.assign(linear, { code: 'linear' }) },
  } as const satisfies Options
  const ajv = new Ajv2020(options)
  // Its class insists on keeping account of what is unevaluated, for which it judges by every branch of anyOf. The exact judge does that.
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
  // ajv's own compares each item with each: 5,000 objects took 1.5 s.
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    validate: (wanted: boolean, items: readonly unknown[]) => !wanted || areUnique(items, budget),
  })
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

/** Each is written out once and looked up. */
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
  // The outermost comes last, after what failed in each branch below it; that of `if` only repeats that a branch failed.
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
