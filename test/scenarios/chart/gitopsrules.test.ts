/**
 * The chart below a parent chart, under kustomize, Flux and Argo CD: by the rules of these tools, and with the examples of docs/gitops.md.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { parseAllDocuments, stringify } from 'yaml'
import { crd } from '../../../api/crd.ts'
import { desiredChildren } from '../../../operator/plan/children.ts'
import { observed, pipelineObject, read } from '../../operator/builder.ts'
import { at } from '../../operator/cluster.ts'
import { findAssets } from '../../support/assets.ts'
import { run } from '../../support/process.ts'
import { projectRoot } from '../../support/root.ts'
import { chartFolder, everything, helm, type Manifest, needsHelm, template } from './chart.ts'

const assets = await findAssets(process.env)
const kubectl = assets.kind === 'Found' ? join(assets.folder, 'kubectl') : undefined
const needsKustomize = { skip: needsHelm.skip || (kubectl === undefined && 'no kubectl: set KUBEBUILDER_ASSETS') }

const manifestsOf = (text: string): readonly Manifest[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((document) => document !== null)

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-gitops-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  return folder
}

/** The YAML blocks of the page. */
const blocks = [...readFileSync(join(projectRoot, 'docs', 'gitops.md'), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)].map(
  ([, block = '']) => block,
)
const documented = blocks.flatMap((block) => manifestsOf(block))
const example = (kind: string): Manifest => {
  const found = documented.find((document) => document.kind === kind)
  assert.ok(found, `docs/gitops.md has no ${kind}`)
  return found
}

async function kustomized(t: TestContext, folder: string, ...flags: string[]): Promise<readonly Manifest[]> {
  const { code, stdout, stderr } = await run(t, ['kustomize', folder, ...flags], { command: kubectl ?? '' })
  assert.equal(code, 0, stderr)
  return manifestsOf(stdout)
}

test('a parent chart has it as a dependency, under a name of its own', needsHelm, async (t) => {
  const folder = await folderOf(t)
  const [dependency] = (documented.find((document) => 'dependencies' in document)?.['dependencies'] ?? []) as object[]
  assert.ok(dependency)
  const dependencies = [{ ...dependency, repository: `file://${chartFolder}`, condition: 'queues.enabled' }]
  await writeFile(join(folder, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: 'parent', version: '1.0.0', dependencies }))
  const built = await helm(t, 'dependency', 'build', folder)
  assert.equal(built.code, 0, built.stderr)
  const rendered = async (...values: string[]) => await helm(t, 'template', 'app', folder, '-n', 'ops', ...values)
  const { code, stdout, stderr } = await rendered('--set', 'queues.replicas=1,global.imageRegistry=registry.example.com')
  assert.equal(code, 0, stderr)
  const deployment = manifestsOf(stdout).find(({ kind }) => kind === 'Deployment')
  assert.equal(deployment?.metadata.name, 'app-queues')
  assert.equal(at(deployment, 'spec.replicas'), 1)
  assert.match(String(at(deployment, 'spec.template.spec.containers.0.image')), /^registry\.example\.com\//)
  assert.equal((await rendered('--set', 'queues.enabled=false')).stdout.trim(), '')
  assert.match((await rendered('--set', 'queues.replica=1')).stderr, /queues.*replica/s)
})

test('kustomize renders the chart, and changes names and labels without a contradiction', needsKustomize, async (t) => {
  const folder = await folderOf(t)
  await mkdir(join(folder, 'charts'))
  await cp(chartFolder, join(folder, 'charts', 'streampipeline-operator'), { recursive: true })
  const kustomization = {
    namespace: 'ops',
    namePrefix: 'eu-',
    labels: [{ pairs: { region: 'eu' } }],
    images: [{ name: 'localhost/streampipeline/operator', newName: 'registry.example.com/operator' }],
    helmCharts: [{ name: 'streampipeline-operator', releaseName: 'queues', namespace: 'ops', includeCRDs: true }],
  }
  await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization))
  const helmProgram = assets.kind === 'Found' ? join(assets.folder, 'helm') : 'helm'
  const manifests = await kustomized(t, folder, '--enable-helm', '--helm-command', helmProgram)
  const one = (kind: string) => manifests.find((manifest) => manifest.kind === kind)
  const deployment = one('Deployment')
  assert.match(String(at(deployment, 'spec.template.spec.containers.0.image')), /^registry\.example\.com\/operator:/)
  const account = one('ServiceAccount')?.metadata.name
  assert.match(String(account), /^eu-/)
  assert.equal(at(deployment, 'spec.template.spec.serviceAccountName'), account)
  for (const binding of manifests.filter(({ kind }) => kind === 'ClusterRoleBinding' || kind === 'RoleBinding')) {
    const subjects = at(binding, 'subjects') as { kind: string; name: string }[]
    for (const subject of subjects.filter(({ kind }) => kind === 'ServiceAccount')) assert.equal(subject.name, account)
  }
  assert.deepEqual(at(deployment, 'metadata.labels.region'), 'eu')
  assert.equal(at(deployment, 'spec.selector.matchLabels.region'), undefined)
  // Its name is that of its kind, which may have no prefix.
  assert.equal(one('CustomResourceDefinition')?.metadata.name, 'streampipelines.streampipeline.dev')
})

test('kustomize renames the Secrets that a pipeline names, by the configuration of the page', needsKustomize, async (t) => {
  const folder = await folderOf(t)
  for (const name of ['kustomizeconfig.yaml', 'kustomization.yaml']) {
    const block = blocks.find((text) => text.startsWith(`# ${name}\n`))
    assert.ok(block, name)
    await writeFile(join(folder, name), block)
  }
  const secretKeyRef = { name: 'redis', key: 'password' }
  const spec = {
    redis: {
      urlFrom: { secretKeyRef },
      usernameFrom: { secretKeyRef },
      passwordFrom: { secretKeyRef },
      tls: { caFrom: { secretKeyRef }, certFrom: { secretKeyRef }, keyFrom: { secretKeyRef } },
      sentinel: { usernameFrom: { secretKeyRef }, passwordFrom: { secretKeyRef } },
    },
  }
  // Both without a namespace, as people write them.
  const { metadata: _, ...rest } = pipelineObject(spec)
  await writeFile(join(folder, 'pipeline.yaml'), stringify({ ...rest, metadata: { name: 'ndvi' } }))
  const manifests = await kustomized(t, folder)
  const secret = manifests.find(({ kind }) => kind === 'Secret')?.metadata.name
  assert.match(String(secret), /^redis-\w+$/)
  const pipeline = JSON.stringify(manifests.find(({ kind }) => kind === 'StreamPipeline'))
  assert.equal(pipeline.split(`"name":"${secret}"`).length - 1, 8)
  assert.doesNotMatch(pipeline, /"name":"redis"/)
  // Each reference to a Secret that the schema has is among them.
  const paths = [
    ...secretReferences(at(crd(), 'spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.redis'), 'spec/redis'),
  ]
  const listed = blocks.find((text) => text.startsWith('# kustomizeconfig.yaml'))
  for (const path of paths) assert.ok(listed?.includes(`path: ${path}/secretKeyRef/name`), path)
})

function* secretReferences(schema: unknown, path: string): Generator<string> {
  for (const [name, inner] of Object.entries((at(schema, 'properties') ?? {}) as Record<string, unknown>)) {
    if (name === 'secretKeyRef') yield path
    else yield* secretReferences(inner, `${path}/${name}`)
  }
}

test('the values of the examples for Flux and Argo CD are values of the chart', needsHelm, async (t) => {
  for (const [kind, path] of [
    ['HelmRelease', 'spec.values'],
    ['Application', 'spec.source.helm.valuesObject'],
  ] as const) {
    const values = at(example(kind), path)
    assert.equal((await template(t, values as Record<string, unknown>)).code, 0, kind)
  }
  for (const path of [at(example('HelmRelease'), 'spec.chart.spec.chart'), at(example('Application'), 'spec.source.path')])
    assert.equal(join(projectRoot, String(path)), chartFolder)
  assert.ok((at(example('Application'), 'spec.syncPolicy.syncOptions') as string[]).includes('ServerSideApply=true'))
})

test('nothing that Flux would substitute, and nothing that changes from one rendering to the next', needsHelm, async (t) => {
  const [first, second] = await Promise.all([template(t, everything), template(t, everything)])
  assert.equal(first.stdout, second.stdout)
  const texts = [
    first.stdout,
    ...globSync('examples/**/*.yaml', { cwd: projectRoot }).map((file) => readFileSync(join(projectRoot, file), 'utf8')),
  ]
  // Its form: kustomize-controller's postBuild.
  for (const text of texts) assert.doesNotMatch(text, /\$\{[A-Za-z_]/)
})

test('the operator’s objects carry no mark by which a tool would take them for its own', () => {
  const marks = {
    labels: {
      'app.kubernetes.io/instance': 'mine',
      'kustomize.toolkit.fluxcd.io/name': 'mine',
      'argocd.argoproj.io/instance': 'mine',
    },
    annotations: { 'argocd.argoproj.io/tracking-id': 'mine:x', 'config.kubernetes.io/origin': 'mine' },
  }
  const object = pipelineObject({}, marks)
  const children = desiredChildren(observed(object), read(object), 'Stream').map((child) => child.object)
  assert.ok(children.length > 3)
  for (const child of children) assert.doesNotMatch(JSON.stringify(child.metadata), /mine/)
})
