/**
 * The way to v1beta1 that docs/upgrades.md plans, walked on a real API server with the present schema under both names: nothing is
 * lost without a webhook, what is stored migrates by the commands of the page, and v1alpha1 can go only then.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { test } from 'node:test'
import { crd } from '../../../api/crd.ts'
import { needsApiServer, startApiServer } from '../../support/apiserver.ts'
import { findAssets } from '../../support/assets.ts'
import { shellBlocks } from '../../support/page.ts'
import { run } from '../../support/process.ts'
import { eventually } from '../../support/wait.ts'

interface Version {
  readonly name: string
  readonly served: boolean
  readonly storage: boolean
}
type Definition = { readonly spec: { readonly versions: readonly Version[] } }

/** The definition with these versions, each with the present schema. */
function definition(versions: readonly Version[]): object {
  const { spec, ...rest } = crd() as Definition
  const [present] = spec.versions
  return {
    ...rest,
    spec: { ...spec, conversion: { strategy: 'None' }, versions: versions.map((each) => ({ ...present, ...each })) },
  }
}

const alpha = (served: boolean, storage: boolean): Version => ({ name: 'v1alpha1', served, storage })
const beta = (storage: boolean): Version => ({ name: 'v1beta1', served: true, storage })
const pipeline = {
  apiVersion: 'streampipeline.dev/v1alpha1',
  kind: 'StreamPipeline',
  metadata: { name: 'ndvi', namespace: 'default', annotations: { kept: 'yes' } },
  spec: {
    redis: { url: 'redis://redis:6379/0' },
    source: { stream: 'ndvi:jobs', group: 'ndvi' },
    payload: { idempotencyKey: ['id'], schema: { type: 'object', required: ['id'], properties: { id: { type: 'string' } } } },
    sink: { bullmq: { queue: 'ndvi' } },
    scaling: { schedules: [{ cron: '0 8 * * 1-5', minReplicas: 2, for: '10h' }] },
  },
}

test('v1beta1 comes and v1alpha1 goes without a webhook and without a loss', needsApiServer, async (t) => {
  const server = await startApiServer(t)
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-versions-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  const apply = async (object: object) => await server.kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(object))
  const applied = async (object: object) => {
    const { code, stderr } = await apply(object)
    assert.equal(code, 0, stderr)
  }
  const readAs = async (version: string) =>
    await eventually(
      async () => {
        const { code, stdout, stderr } = await server.kubectl([
          'get',
          `streampipelines.${version}.streampipeline.dev`,
          'ndvi',
          '-o',
          'json',
        ])
        assert.equal(code, 0, stderr)
        return JSON.parse(stdout) as { apiVersion: string; metadata: { annotations: object }; spec: object }
      },
      { timeoutMs: 30_000 },
    )

  await applied(definition([alpha(true, true)]))
  await eventually(async () => await applied(pipeline), { timeoutMs: 30_000 })
  const { spec: before } = await readAs('v1alpha1')

  await applied(definition([alpha(true, true), beta(false)]))
  const second = await readAs('v1beta1')
  assert.equal(second.apiVersion, 'streampipeline.dev/v1beta1')
  assert.deepEqual(second.spec, before)

  await applied(definition([alpha(true, false), beta(true)]))
  const tooEarly = await apply(definition([beta(true)]))
  assert.notEqual(tooEarly.code, 0, 'v1alpha1 goes while objects are stored in it')
  assert.match(tooEarly.stderr, /storedVersions/)

  const [migrate = ''] = await shellBlocks('upgrades.md', 'Migrate what is stored')
  const assets = await findAssets(process.env)
  const path = [assets.kind === 'Found' ? assets.folder : '', process.env['PATH']].join(delimiter)
  const typed = await run(t, ['-e', '-o', 'pipefail', '-c', migrate], {
    command: 'bash',
    cwd: folder,
    env: { PATH: path, KUBECONFIG: server.kubeconfig, KUBECACHEDIR: join(folder, 'kubectl') },
  })
  assert.equal(typed.code, 0, typed.stderr + typed.stdout)

  await applied(definition([beta(true)]))
  const last = await readAs('v1beta1')
  assert.deepEqual(last.spec, before)
  assert.deepEqual(Reflect.get(last.metadata.annotations, 'kept'), 'yes')
  await eventually(
    async () => assert.notEqual((await server.kubectl(['get', 'streampipelines.v1alpha1.streampipeline.dev'])).code, 0),
    { timeoutMs: 30_000 },
  )
})
