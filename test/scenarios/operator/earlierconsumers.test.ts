/**
 * A pipeline may name its own consumer image, and that of an earlier release goes on below this operator: it accepts the configuration
 * that this operator writes, and is not restarted, since the configuration is the same byte by byte.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { globSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'
import { crd } from '../../../api/crd.ts'
import { parsePipeline } from '../../../api/validate.ts'
import { consumerConfig, laterDefaults } from '../../../operator/plan/consumerconfig.ts'
import { minimalPipeline } from '../../operator/cluster.ts'
import { checkOutEarlier, needsEarlierRelease } from '../../support/earlierrelease.ts'
import { projectRoot } from '../../support/root.ts'

interface Resource {
  readonly kind: string
  readonly metadata: object
  readonly spec: Readonly<Record<string, unknown>>
}

interface Schema {
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
}

const redis = { url: 'redis://redis:6379/0' }
const uid = '11111111-2222-3333-4444-555555555555'

const examples = globSync('examples/**/*.yaml', { cwd: projectRoot })
  .flatMap((file) =>
    parseAllDocuments(readFileSync(join(projectRoot, file), 'utf8')).map((document) => document.toJS() as Resource | null),
  )
  .filter((object): object is Resource => object?.kind === 'StreamPipeline')

const specs: readonly Readonly<Record<string, unknown>>[] = [
  { redis },
  { redis: { url: 'rediss://redis:6379/0', passwordFrom: { secretKeyRef: { name: 'redis', key: 'password' } }, tls: {} } },
  { redis: { sentinel: { master: 'main', nodes: ['sentinel:26379'] } } },
  { redis, payload: { encoding: 'Json', field: 'data', idempotencyKey: ['id'], schema: { type: 'object' } } },
  { redis, deadLetter: { maxEntries: 10 }, delivery: { maxDeliveries: 2 }, consumer: { logLevel: 'Debug' } },
]

const written = specs.map((spec) => minimalPipeline('ndvi', 'farm', spec) as unknown as Resource)

const resources = [...written, ...examples].map((resource) => ({
  ...resource,
  metadata: { namespace: 'farm', ...resource.metadata, uid },
}))

const schemaOf = (definition: unknown): Schema =>
  (definition as { spec: { versions: { schema: { openAPIV3Schema: Schema } }[] } }).spec.versions[0]?.schema.openAPIV3Schema
    .properties?.['spec'] ?? {}

/** Parts of the spec that stand in no consumer's file. */
const elsewhere = ['mode', 'suspend', 'replicas', 'scaling', 'consumer']

interface Field {
  readonly path: string
  readonly parent: string
  readonly hasDefault: boolean
}

function fieldsOf({ properties = {} }: Schema, parent = ''): readonly Field[] {
  return Object.entries(properties).flatMap(([name, schema]): readonly Field[] => {
    if (parent === '' && elsewhere.includes(name)) return []
    const path = parent === '' ? name : `${parent}.${name}`
    return [{ path, parent, hasDefault: 'default' in schema && schema.properties === undefined }, ...fieldsOf(schema, path)]
  })
}

test('a consumer of the earlier release accepts its file, which has not changed', needsEarlierRelease, async (t) => {
  const folder = checkOutEarlier(['api', 'operator', 'process', 'redis', 'scaling', 'package.json', 'crds'])
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const load = async (path: string) =>
    (await import(pathToFileURL(join(folder, path)).href)) as Record<string, (value: unknown) => unknown>
  const [past, plan] = await Promise.all([load('api/compile.ts'), load('operator/plan/consumerconfig.ts')])
  let compared = 0
  for (const resource of resources) {
    const config = consumerConfig(parsePipeline(resource))
    let accepted: unknown
    try {
      accepted = past['parsePipeline']?.(resource)
    } catch {
      // With fields that the earlier release does not know: it has no consumer for this.
      continue
    }
    assert.doesNotThrow(() => past['parsePipeline']?.(JSON.parse(config)))
    assert.equal(config, plan['consumerConfig']?.(accepted))
    compared += 1
  }
  assert.ok(compared >= 4, `${compared} resources compared`)

  const earlier = fieldsOf(schemaOf(parse(readFileSync(join(folder, 'crds', 'streampipelines.yaml'), 'utf8'))))
  const known = new Set(earlier.map(({ path }) => path))
  // Below a part that is new itself, a default is filled in only where that part was written.
  const later = fieldsOf(schemaOf(crd()))
    .filter(({ path, parent, hasDefault }) => hasDefault && !known.has(path) && known.has(parent))
    .map(({ path }) => path)
  assert.deepEqual(laterDefaults.map((path) => path.join('.')).sort(), [...later].sort(), 'each default since then is left out')
})

test('a field that an earlier release does not know stands in the file once it is set', () => {
  const spec = { redis, deadLetter: { requestCopy: true }, payload: { allowEmptyKey: true, idempotencyKey: ['id'] } }
  const config = JSON.parse(consumerConfig(parsePipeline(minimalPipeline('ndvi', 'farm', spec)))) as Resource
  assert.deepEqual(
    [config.spec['deadLetter'], config.spec['payload']].map((part) =>
      Object.entries(part as object).find(([, on]) => on === true),
    ),
    [
      ['requestCopy', true],
      ['allowEmptyKey', true],
    ],
  )
})
