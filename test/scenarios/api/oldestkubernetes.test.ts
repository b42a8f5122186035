/**
 * The definition on the oldest Kubernetes that is supported. Its API server estimates the steps of each rule, and refuses a rule of
 * more than ten million. It does not heed the length of an int-or-string, and so reckons with a text of three MiB. Newer API
 * servers estimate less.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crd } from '../../../api/crd.ts'

const stepsOfText = Math.ceil((3 * 1024 * 1024) / 5)
const mostSteps = 10_000_000

interface Schema {
  readonly maxItems?: number
  readonly maxProperties?: number
  readonly items?: Schema
  readonly additionalProperties?: Schema | boolean
  readonly properties?: Readonly<Record<string, Schema>>
  readonly 'x-kubernetes-int-or-string'?: boolean
  readonly 'x-kubernetes-validations'?: readonly object[]
}

interface Ruled {
  readonly path: string
  readonly times: number
}

/** Int-or-strings with a rule, and how often each may occur. */
function ruled(schema: Schema, path: string, times: number): readonly Ruled[] {
  const { items, additionalProperties: values } = schema
  const here =
    schema['x-kubernetes-int-or-string'] === true && schema['x-kubernetes-validations'] !== undefined ? [{ path, times }] : []
  return [
    ...here,
    ...Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => ruled(inner, `${path}.${name}`, times)),
    ...(items === undefined ? [] : ruled(items, `${path}[]`, times * (schema.maxItems ?? Number.POSITIVE_INFINITY))),
    ...(typeof values === 'object' ? ruled(values, `${path}{}`, times * (schema.maxProperties ?? Number.POSITIVE_INFINITY)) : []),
  ]
}

test('no rule on an int-or-string costs more than Kubernetes 1.31 allows', () => {
  const definition = crd() as unknown as { spec: { versions: { schema: { openAPIV3Schema: Schema } }[] } }
  const found = definition.spec.versions.flatMap(({ schema }) => ruled(schema.openAPIV3Schema, '', 1))
  assert.ok(found.length > 0)
  assert.deepEqual(
    found.filter(({ times }) => times * stepsOfText > mostSteps),
    [],
  )
})
