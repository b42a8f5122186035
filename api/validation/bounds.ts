/**
 * What keeps validation from taking longer than the payload is long. A payload comes from anybody; a consumer that computes for
 * minutes on one entry is a poison that no delivery count cures.
 *
 * - `uniqueItems` of ajv compares each item with each: 5,000 objects took 1.5 s. Here each is written out once and looked up.
 * - `$ref` may lead back to where it stands. Two ways that both lead there double the work at each level of the payload, and a
 *   payload may have a hundred levels. Each passing of a reference is counted, and there is an end.
 * - the format `url` is a quadratic pattern: 20,000 colons took 1.2 s. Longer texts than browsers take are none.
 */
import type { Ajv2020, ValidateFunction } from 'ajv/dist/2020.js'
import { isRecord } from './problem.ts'

/** References one payload may pass: tens of milliseconds, and no honest payload comes near. */
const maxSteps = 100_000
const maxUrlLength = 2_048
const stepKeyword = 'x-streampipeline-step'

class TooManySteps extends Error {}

/** Replaces and adds keywords; then `compile` a schema that went through `withSteps`. */
export function boundKeywords(ajv: Ajv2020): (schema: Readonly<Record<string, unknown>>) => ValidateFunction {
  let steps = 0
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    error: { message: 'must NOT have duplicate items' },
    validate: (wanted: boolean, items: readonly unknown[]) => !wanted || new Set(items.map(written)).size === items.length,
  })
  ajv.addKeyword({
    keyword: stepKeyword,
    schemaType: 'boolean',
    validate: () => {
      steps += 1
      if (steps > maxSteps) throw new TooManySteps()
      return true
    },
  })
  const { url } = ajv.formats
  if (url instanceof RegExp) ajv.addFormat('url', (text: string) => text.length <= maxUrlLength && url.test(text))
  return (schema) => {
    const validate = ajv.compile(withSteps(schema))
    const bounded = ((data: unknown) => {
      steps = 0
      try {
        const valid = validate(data)
        bounded.errors = validate.errors ?? null
        return valid
      } catch (thrown) {
        if (!(thrown instanceof TooManySteps)) throw thrown
        const message = `passes more than ${maxSteps} references of the schema`
        bounded.errors = [{ instancePath: '', schemaPath: '#', keyword: '$ref', params: {}, message }]
        return false
      }
    }) as ValidateFunction
    return bounded
  }
}

/** Equal for what JSON Schema calls equal: members in one order, at every depth. */
function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value)
  const names = Object.keys(value).sort()
  return `{${names.map((name) => `${JSON.stringify(name)}:${written(value[name])}`).join(',')}}`
}

const maps = new Set(['properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions'])
const lists = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
const single = new Set([
  ...['items', 'contains', 'not', 'if', 'then', 'else', 'additionalProperties', 'propertyNames'],
  ...['unevaluatedItems', 'unevaluatedProperties'],
])

/** The schema with a counter beside each reference; what is no schema in it (`const`, `enum`, `default`) stays as it is. */
function withSteps(schema: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const inner = (value: unknown): unknown => (isRecord(value) ? withSteps(value) : value)
  const entries = Object.entries(schema).map(([keyword, value]): [string, unknown] => {
    if (single.has(keyword)) return [keyword, inner(value)]
    if (lists.has(keyword) && Array.isArray(value)) return [keyword, value.map(inner)]
    if (maps.has(keyword) && isRecord(value)) {
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, member]) => [name, inner(member)]))]
    }
    return [keyword, value]
  })
  const refers = typeof schema['$ref'] === 'string' || typeof schema['$dynamicRef'] === 'string'
  return Object.fromEntries(refers ? [[stepKeyword, true], ...entries] : entries)
}
