/** Random changes of a sound resource: any field of the schema, or one beside it, set to anything that people write there. */
import fc from 'fast-check'
import { pipelineStructure, type Structure } from '../../api/structure.ts'
import { type Json, minimal, patched } from './table/resource.ts'

interface Place {
  readonly path: readonly string[]
  readonly field: Structure
}

function places(field: Structure, path: readonly string[]): readonly Place[] {
  const inner = Object.entries(field.properties ?? {}).flatMap(([name, next]) => places(next, [...path, name]))
  return path.length === 0 ? inner : [{ path, field }, ...inner]
}

const durations = [
  '0s',
  '1ms',
  '500ms',
  '1s',
  '29s',
  '30s',
  '60s',
  '1m30s',
  '5m',
  '24h',
  '2160h',
  '2161h',
  '7d',
  '1.5h',
  '-5s',
  '5',
  '1h1m1s1ms1h',
]
const names = [
  'ndvi',
  'ndvi:jobs',
  'a:b',
  '{ndvi}',
  'bull{ndvi:jobs}',
  '{a}{b}',
  '}',
  '{}',
  'x'.repeat(300),
  'Stream',
  'Manual',
  'Json',
  'Fields',
  'Leave',
  'Capture',
]
const urls = [
  'redis://r',
  'rediss://r:6379/0',
  'redis://r:0',
  'redis://r:65536',
  'REDIS://r',
  'redis://[::1]:1',
  'r:6379',
  'a@r:1',
  'unix:/s',
]
const sizes = ['1', '1Ki', '256K', '1M', '1m', '0', '1e3', '999999999999G', '0Ki', '600Mi', '64Mi', ' 1Ki', '1.0Ki']
const words = [...durations, ...names, ...urls, ...sizes, '', '0 8 * * *', 'UTC', 'Hold', 'Max', 'Exponential']
const numbers = [-1, 0, 1, 2, 5, 10, 100, 1000, 1001, 65_535, 65_536, 2 ** 31, 1.5]
const scalar: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(...words),
  fc.constantFrom<Json>(...numbers),
  fc.constantFrom<Json>(true, false, null),
)

function fitting(field: Structure): fc.Arbitrary<Json> {
  const { enum: choices, type } = field
  if (choices !== undefined) return fc.constantFrom(...(choices as readonly Json[]))
  if (type === 'integer') return fc.constantFrom<Json>(...numbers)
  if (type === 'boolean') return fc.boolean()
  if (type === 'array' && field.items !== undefined) return fc.array(whole(field.items), { maxLength: 3 })
  if (type === 'object') {
    const some = fc.constantFrom<Json>({}, { extra: 1 }, { a: 'b' })
    return field.properties === undefined ? some : fc.oneof(some, whole(field))
  }
  return fc.oneof(fc.constantFrom<Json>(...words), fc.constantFrom<Json>(...numbers))
}

/** An object with its required fields, and of the others some. */
function whole(field: Structure): fc.Arbitrary<Json> {
  if (field.properties === undefined) return fitting(field)
  const model = Object.fromEntries(
    Object.entries(field.properties).map(([name, inner]) => [name, fc.oneof(fitting(inner), scalar)]),
  )
  return fc.record<Record<string, Json>>(model, { requiredKeys: [...(field.required ?? [])] })
}

function at(path: readonly string[], value: Json): Json {
  return path.reduceRight<Json>((inner, name) => ({ [name]: inner }), value)
}

const { spec = {} } = pipelineStructure().properties ?? {}
// The structural schema does not cover the content of a schema or of a nested Kubernetes type.
const change = fc.constantFrom(...places(spec, ['spec']).slice(1)).chain(({ path, field }) => {
  const value = fc.oneof({ weight: 3, arbitrary: fitting(field) }, { weight: 1, arbitrary: scalar })
  return value.map((written) => at(path, written))
})

export const changed: fc.Arbitrary<Json> = fc
  .array(change, { minLength: 1, maxLength: 4 })
  .map((changes) => changes.reduce<Json>((document, patch) => patched(document, patch), minimal))
