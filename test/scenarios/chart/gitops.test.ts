/**
 * The examples for Argo CD and Flux, held to the rules of these tools: the chart takes their values, the health check is the chart's,
 * and changes at run time that they are to ignore are no difference to them.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { crd } from '../../../api/crd.ts'
import { argocdHealth } from '../../../build/chart/argocd.ts'
import { at } from '../../operator/cluster.ts'
import { borrowApiServer, needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import { chartFolder, helm, type Manifest, needsHelm } from './chart.ts'

const read = async (name: string): Promise<readonly Manifest[]> =>
  parseAllDocuments(await readFile(join(projectRoot, 'examples', 'gitops', name), 'utf8')).map(
    (document) => document.toJS() as Manifest,
  )
const [argo, flux, configMaps] = await Promise.all([read('argocd.yaml'), read('flux.yaml'), read('argocd-cm.yaml')])
const named = (objects: readonly Manifest[], kind: string, name: string) => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  assert.ok(found !== undefined, `${kind} ${name}`)
  return found
}
const chartApplication = named(argo, 'Application', 'streampipeline')
const pipelineApplication = named(argo, 'Application', 'pipelines')
const release = named(flux, 'HelmRelease', 'streampipeline')

for (const [tool, values] of [
  ['Argo CD', at(chartApplication, 'spec.source.helm.valuesObject')],
  ['Flux', at(release, 'spec.values')],
] as const)
  test(`the chart takes the values of the example for ${tool}`, needsHelm, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-gitops-'))
    t.after(async () => await rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'values.yaml')
    await writeFile(file, stringify(values))
    const { code, stdout, stderr } = await helm(t, 'template', 'streampipeline', chartFolder, '-f', file)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /image: "?registry\.example\.com\/streampipeline\/operator:/)
  })

test('the examples name the chart, its version and its folder as they are', async () => {
  const { name, version } = parse(await readFile(join(chartFolder, 'Chart.yaml'), 'utf8')) as { name: string; version: string }
  assert.equal(at(chartApplication, 'spec.source.path'), `charts/${name}`)
  assert.equal(at(chartApplication, 'spec.source.targetRevision'), `v${version}`)
  const repository = named(flux, 'OCIRepository', 'streampipeline')
  assert.match(String(at(repository, 'spec.url')), new RegExp(`/${name}$`))
  assert.equal(at(repository, 'spec.ref.tag'), version)
  assert.deepEqual(at(release, 'spec.chartRef'), { kind: repository.kind, name: repository.metadata.name })
})

test('the ConfigMap for Argo CD holds the health check, and Lua runs it', async (t) => {
  const [map] = configMaps
  const data = map?.['data'] as Readonly<Record<string, string>>
  const script = data['resource.customizations.health.streampipeline.dev_StreamPipeline'] ?? ''
  assert.equal(script, argocdHealth)
  const redis = (await startRedis(t)).client()
  const health = async (object: object) => {
    const run = `local obj = cjson.decode(ARGV[1])\nlocal function health()\n${script}\nend\nreturn health().status`
    return await redis.eval(run, 0, JSON.stringify(object))
  }
  const judged = (status: string, reason: string) => ({
    metadata: { generation: 2 },
    status: { observedGeneration: 2, conditions: [{ type: 'Ready', status, reason, message: '' }] },
  })
  assert.equal(await health(judged('True', 'Running')), 'Healthy')
  assert.equal(await health(judged('False', 'ReconcileDisabled')), 'Suspended')
  assert.equal(await health(judged('Unknown', 'Progressing')), 'Progressing')
  assert.equal(await health(judged('False', 'ReferenceMissing')), 'Degraded')
  assert.equal(await health({ metadata: { generation: 1 } }), 'Progressing')
})

test(
  'the example tells Argo CD to ignore fields that the resource has, and a change of them is no difference',
  needsApiServer,
  async (t) => {
    const [ignored] = at(pipelineApplication, 'spec.ignoreDifferences') as readonly {
      group: string
      kind: string
      jsonPointers: readonly string[]
    }[]
    const { spec } = crd() as { spec: { group: string; names: { kind: string }; versions: readonly object[] } }
    assert.deepEqual([ignored?.group, ignored?.kind], [spec.group, spec.names.kind])
    const schema = at(spec.versions[0], 'schema.openAPIV3Schema')
    for (const pointer of ignored?.jsonPointers ?? [])
      assert.ok(at(schema, `properties${pointer.replaceAll('/', '.properties.').slice('.properties'.length)}`), pointer)

    const server = await borrowApiServer(t)
    const kubectl = async (args: readonly string[], input = '') => await server.kubectl([...args], input)
    // As Argo CD applies with ServerSideApply and RespectIgnoreDifferences: without the fields that it ignores.
    const quickstart = await readFile(join(projectRoot, 'examples', 'quickstart.yaml'), 'utf8')
    const document = parse(quickstart) as { metadata: { name: string }; spec: Record<string, unknown> }
    const { replicas: _, suspend: __, ...kept } = document.spec
    const scaling = { ...(kept['scaling'] as object), policy: 'Manual' }
    const wanted = JSON.stringify({ ...document, spec: { ...kept, scaling } })
    const apply = ['--server-side', '--force-conflicts', '--field-manager=argocd-controller', '-f', '-']
    assert.equal((await kubectl(['apply', ...apply], wanted)).code, 0)
    const scaled = await kubectl(['scale', 'streampipeline', document.metadata.name, '--replicas=3'])
    assert.equal(scaled.code, 0, scaled.stderr)
    const patch = ['patch', 'streampipeline', document.metadata.name, '--type=merge', '-p']
    assert.equal((await kubectl([...patch, '{"spec":{"suspend":true}}'])).code, 0)
    const unchanged = await kubectl(['diff', ...apply], wanted)
    assert.equal(unchanged.code, 0, unchanged.stdout)
    assert.equal((await kubectl(['apply', ...apply], wanted)).code, 0)
    const { stdout } = await kubectl([
      'get',
      'streampipeline',
      document.metadata.name,
      '-o',
      'jsonpath={.spec.replicas} {.spec.suspend}',
    ])
    assert.equal(stdout, '3 true')
    // A field that Argo CD does not ignore is a difference.
    assert.equal((await kubectl([...patch, '{"spec":{"scaling":{"maxReplicas":99}}}'])).code, 0)
    assert.equal((await kubectl(['diff', ...apply], wanted)).code, 1)
  },
)
