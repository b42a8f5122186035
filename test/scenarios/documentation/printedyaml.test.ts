/**
 * Readers copy the YAML that README and docs print: the chart accepts the values, an API server the fragments of Pods, `simulate`
 * the scenarios. A block that no check knows fails. StreamPipelines are in documentation.test.ts.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { Ajv } from 'ajv'
import { parseAllDocuments, stringify } from 'yaml'
import { kind, validate } from '../../../api/index.ts'
import { parseScenario } from '../../../scaling/simulate/scenario.ts'
import { blocksOf } from '../../api/support/printed.ts'
import { resourceWith } from '../../redis/resource.ts'
import { borrowApiServer, needsApiServer } from '../../support/apiserver.ts'
import { projectRoot } from '../../support/root.ts'

interface Document {
  readonly place: string
  readonly text: string
  readonly content: Readonly<Record<string, unknown>>
}

const valuesSchema: { readonly properties: Readonly<Record<string, unknown>> } = JSON.parse(
  await readFile(join(projectRoot, 'charts', 'streampipeline-operator', 'values.schema.json'), 'utf8'),
)
const takesValues = new Ajv({ strict: false }).compile(valuesSchema)

type Sort = 'resource' | 'spec' | 'object' | 'values' | 'scenario' | 'pod' | 'tool' | 'unknown'

/** Files of Helm, Flux, Argo CD and kustomize: chart/gitops.test.ts runs them. */
const isOfTool = ({ content }: Document): boolean =>
  /^(argoproj\.io|(helm|kustomize)\.toolkit\.fluxcd\.io)\//.test(String(content['apiVersion'])) ||
  ['dependencies', 'nameReference', 'secretGenerator'].some((name) => name in content)

function sortOf(document: Document): Sort {
  const { content } = document
  if (isOfTool(document)) return 'tool'
  const names = Object.keys(content)
  if (content['kind'] === kind) return 'resource'
  if (typeof content['kind'] === 'string' && content['apiVersion'] === 'v1') return 'object'
  if (names.includes('payload')) return 'spec'
  if (names.includes('arrivals')) return 'scenario'
  if (names.includes('containers')) return 'pod'
  // Pods and values of the chart both have volumes.
  if (names.some((name) => name !== 'volumes' && name in valuesSchema.properties)) return 'values'
  return names.includes('volumes') ? 'pod' : 'unknown'
}

let sorts: Partial<Record<Sort, Document[]>>
before(async () => {
  const documents = (await blocksOf('yaml', 'yml')).flatMap(({ place, text }) =>
    parseAllDocuments(text).map((document): Document => {
      assert.deepEqual(document.errors, [], place)
      return { place, text, content: document.toJS() }
    }),
  )
  sorts = Object.groupBy(documents, sortOf)
})

test('a check knows each YAML that README and docs print', () => {
  assert.deepEqual(
    (sorts.unknown ?? []).map(({ place }) => place),
    [],
  )
  assert.ok((sorts.resource ?? []).length > 0, 'no StreamPipeline')
})

/** A placeholder that no reader leaves as it is. */
const filledIn = (values: unknown): unknown =>
  JSON.parse(JSON.stringify(values).replaceAll('sha256:...', `sha256:${'0'.repeat(64)}`))

test('the chart takes the values that README and docs print', () => {
  const printed = sorts.values ?? []
  assert.ok(printed.length > 0, 'none')
  for (const { place, content } of printed) {
    assert.ok(takesValues(filledIn(content)), `${place}: ${JSON.stringify(takesValues.errors)}`)
  }
  assert.equal(takesValues({ image: { nonsense: true } }), false)
  assert.equal(takesValues({ replicas: 'two' }), false)
})

test('simulate takes the scenarios that README and docs print', () => {
  const printed = sorts.scenario ?? []
  assert.ok(printed.length > 0, 'none')
  for (const { place, text } of printed) assert.ok(parseScenario(text, place).name !== '')
  assert.throws(() => parseScenario(`${printed[0]?.text}nonsense: 1\n`, 'changed'))
})

test('`validate` takes the fragments of a spec that README and docs print', () => {
  const printed = sorts.spec ?? []
  assert.ok(printed.length > 0, 'none')
  const problems = (fragment: object) => validate(resourceWith(fragment))
  for (const { place, content } of printed) assert.deepEqual(problems(content), [], place)
  assert.notDeepEqual(problems({ payload: { nonsense: true } }), [])
})

test('an API server takes the other objects that README and docs print', needsApiServer, async (t) => {
  const printed = sorts.object ?? []
  assert.ok(printed.length > 0, 'none')
  const server = await borrowApiServer(t)
  assert.equal((await server.kubectl(['create', 'namespace', 'team-a'])).code, 0)
  for (const { place, text, content } of printed) {
    const { namespace } = content['metadata'] as { readonly namespace?: string }
    if (namespace !== undefined && namespace !== 'team-a') await server.kubectl(['create', 'namespace', namespace])
    const { code, stderr } = await server.kubectl(['create', '--dry-run=server', '--validate=strict', '-f', '-'], text)
    assert.equal(code, 0, `${place}: ${stderr}`)
  }
})

test('an API server takes the fragments of Pods that README and docs print', needsApiServer, async (t) => {
  const printed = sorts.pod ?? []
  assert.ok(printed.length > 0, 'none')
  const server = await borrowApiServer(t)
  const take = async (fragment: Readonly<Record<string, unknown>>) => {
    const containers = [{ name: 'c', image: 'i' }]
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers, ...fragment } }
    const args = ['create', '--dry-run=server', '--validate=strict', '-n', 'default', '-f', '-']
    return await server.kubectl(args, stringify(pod))
  }
  for (const { place, content } of printed) {
    const { code, stderr } = await take(content)
    assert.equal(code, 0, `${place}: ${stderr}`)
  }
  assert.match((await take({ volumes: [{ name: 'v', configMap: { nonsense: 1 } }] })).stderr, /nonsense/)
})
