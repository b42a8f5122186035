/**
 * The fast judge: ajv, which makes code of a schema. It gets the schema rewritten into what it judges rightly:
 * - each schema that a reference leads to stands once, under a name of ours, so that ajv resolves neither URIs nor anchors, in which
 *   it goes wrong; and none is copied to where it is referred to, which made a schema of 7 KB code of megabytes;
 * - keywords that 2020-12 does not have are gone, as ajv gives some of them a meaning;
 * - beside each reference stands a counter, so that judging has an end (budget.ts).
 */
import { _, Ajv2020, type ErrorObject, type Format, type Options, type ValidateFunction } from 'ajv/dist/2020.js'
import { compilePattern } from '../validation/pattern.ts'
import { isRecord } from '../validation/problem.ts'
import { stepsOf } from './address.ts'
import { type Budget, BudgetSpent, createBudget } from './budget.ts'
import { createMultipleOf } from './decimal.ts'
import type { SchemaNode } from './document.ts'
import { canonical } from './equality.ts'
import { type FormatCheck, formatCheck, isFormat, knownFormats } from './formats.ts'
import { formOf, shelves } from './keywords.ts'
import { nullableType } from './nullable.ts'
import { referenceKeywords, type Survey } from './survey.ts'
import { tooCostly, tooDeep, type Violation } from './verdict.ts'

/** Undefined: the value is valid. */
export type Judge = (value: unknown) => Violation | undefined

const stepKeyword = 'x-streampipeline-step'

export function createAjvJudge(survey: Survey, asserted: boolean): Judge {
  return judgeOf(plain(survey), asserted)
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
    budget.read(text.length)
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
    budget.read(text.length)
    if (seen.has(text)) return false
    seen.add(text)
  }
  return true
}

function plain(survey: Survey): unknown {
  const { root, reached } = survey
  const targets = new Set(
    reached
      .flatMap((node) => referenceKeywords.map((keyword) => survey.target(node, keyword)?.node))
      .filter((node) => node !== undefined),
  )
  const names = new Map([...targets].map((node, index) => [node, `s${index}`]))
  const pointerOf = (node: SchemaNode) => (node === root ? '#' : `#/$defs/${names.get(node)}`)
  const inner = (node: SchemaNode): unknown =>
    node === root || names.has(node) ? { $ref: pointerOf(node) } : written(node, survey, { inner, pointerOf })
  const whole = written(root, survey, { inner, pointerOf })
  if (!isRecord(whole)) return whole
  const definitions = [...names]
    .filter(([node]) => node !== root)
    .map(([node, name]) => [name, written(node, survey, { inner, pointerOf })])
  return { ...whole, $defs: Object.fromEntries(definitions) }
}

interface Writing {
  inner(node: SchemaNode): unknown
  pointerOf(node: SchemaNode): string
}

function written(node: SchemaNode, survey: Survey, { inner, pointerOf }: Writing): unknown {
  const { value } = node
  if (typeof value === 'boolean') return value
  const referred = referenceKeywords.flatMap((keyword) => survey.target(node, keyword)?.node ?? [])
  const entries = Object.entries(value).flatMap(([keyword, held]): [string, unknown][] => {
    if (shelves.has(keyword)) return []
    const at = (...steps: (string | number)[]) => inner(survey.inner(node, keyword, ...steps))
    const byName = (members: object, write: (name: string, member: unknown) => unknown): [string, unknown][] => [
      [keyword, Object.fromEntries(Object.entries(members).map(([name, member]) => [name, write(name, member)]))],
    ]
    switch (formOf(keyword)) {
      case 'Schema':
        return [[keyword, at()]]
      case 'Schemas':
        return [[keyword, (held as unknown[]).map((_, index) => at(index))]]
      case 'SchemaByName':
      case 'SchemaByPattern':
        return byName(held as object, (name) => at(name))
      case 'Dependencies':
        return byName(held as object, (name, member) => (Array.isArray(member) ? member : at(name)))
      case 'Types':
        return [[keyword, nullableType(value)]]
      case 'Reference':
      case 'Identifier':
      case 'Anchor':
      case 'Dialect':
      case 'Vocabulary':
      case undefined:
        return []
      default:
        return keyword === 'format' && !isFormat(String(held)) ? [] : [[keyword, held]]
    }
  })
  const rest = Object.fromEntries(entries)
  const [first, ...more] = referred.map((there) => ({ [stepKeyword]: true, $ref: pointerOf(there) }))
  if (first === undefined) return rest
  if (more.length === 0) return { ...first, ...rest }
  return { ...first, ...rest, allOf: [...((rest['allOf'] as unknown[] | undefined) ?? []), ...more] }
}

function violationOf({ errors }: ValidateFunction): Violation {
  const error = errors?.[0]
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
