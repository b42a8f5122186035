/**
 * The required tests of JSON Schema 2020-12, in the form of payloads. Each schema stands below a property, and each value is that
 * property's value. A schema without an `$id` gets one, so that `#` is still the schema.
 */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { projectRoot } from '../support/root.ts'

const folder = join(projectRoot, 'test/api/fixture/json-schema-2020-12')

interface Group {
  readonly description: string
  readonly schema: boolean | Readonly<Record<string, unknown>>
  readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[]
}

export interface SuiteGroup {
  /** `ref: nested refs`. */
  readonly name: string
  readonly schema: Readonly<Record<string, unknown>>
  readonly tests: readonly { readonly name: string; readonly payload: { readonly value: unknown }; readonly valid: boolean }[]
}

function below(schema: Group['schema'], index: number): Readonly<Record<string, unknown>> {
  const whole =
    typeof schema === 'boolean' || schema['$id'] !== undefined ? schema : { $id: `https://suite.test/${index}`, ...schema }
  return { type: 'object', properties: { value: whole } }
}

export const suite: readonly SuiteGroup[] = globSync('*.json', { cwd: folder })
  .sort()
  .flatMap((file) => (JSON.parse(readFileSync(join(folder, file), 'utf8')) as Group[]).map((group) => ({ file, group })))
  .map(({ file, group: { description, schema, tests } }, index) => ({
    name: `${basename(file, '.json')}: ${description}`,
    schema: below(schema, index),
    tests: tests.map((test) => ({ name: test.description, payload: { value: test.data }, valid: test.valid })),
  }))

/** Leads out of the schema, or names another dialect: refused by name. */
export const foreign: ReadonlySet<string> = new Set([
  'dynamicRef: strict-tree schema, guards against misspelled properties',
  'dynamicRef: tests for implementation dynamic anchor and reference link',
  'dynamicRef: $ref and $dynamicAnchor are independent of order - $defs first',
  'dynamicRef: $ref and $dynamicAnchor are independent of order - $ref first',
  'dynamicRef: $ref to $dynamicRef finds detached $dynamicAnchor',
  'vocabulary: schema that uses custom metaschema with with no validation vocabulary',
  'vocabulary: ignore unrecognized optional vocabulary',
  ...suite.filter(({ name }) => name.startsWith('refRemote: ')).map(({ name }) => name),
])
