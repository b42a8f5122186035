/**
 * docs/backup.md, typed as it stands. Pipelines move into an empty cluster, where a backup tool restored their objects without owners:
 * with the signing key they need not wait until the claim of their earlier life on their streams ends. Then the operator's
 * namespace is lost: with the key no consumer restarts, without it each does once.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName, signingSecretName } from '../../../operator/plan/names.ts'
import {
  at,
  type Cluster,
  conditionOf,
  type Loose,
  minimalPipeline,
  startCluster,
  startOperator,
} from '../../operator/cluster.ts'
import { needsControllers } from '../../support/apiserver.ts'
import { findAssets } from '../../support/assets.ts'
import { shellBlocks } from '../../support/page.ts'
import { run } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 120_000 }
const own = 'streampipeline'
const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
const assets = await findAssets(process.env)

/** Types a block of the page, as the administrator of that cluster. */
async function type(t: TestContext, cluster: Cluster, folder: string, block: string): Promise<void> {
  const { code, stdout, stderr } = await run(t, ['-e', '-o', 'pipefail', '-c', block], {
    command: 'bash',
    timeoutMs: 150_000,
    cwd: folder,
    env: {
      PATH: [assets.kind === 'Found' ? assets.folder : '', process.env['PATH']].join(delimiter),
      KUBECONFIG: cluster.server.kubeconfig,
      KUBECACHEDIR: join(folder, cluster.server.port.toString()),
    },
  })
  if (code === 0) return
  const { stdout: objects } = await cluster.server.kubectl(['get', 'streampipelines', '-A', '-o', 'yaml'])
  assert.fail(`${block}\n${stdout}${stderr}${objects}`)
}

const deploymentOf = async (cluster: Cluster) => await cluster.get<Loose>(kinds.deploymentType, 'farm', consumerName('ndvi'))

/** Waits until the operator has applied and reported, and returns the Deployment. */
async function settled(cluster: Cluster): Promise<Loose> {
  return await eventually(async () => {
    const pipeline = await cluster.get<Loose>(kinds.pipelineType, 'farm', 'ndvi')
    assert.equal(conditionOf(pipeline, 'Reconciled')?.reason, 'ObjectsApplied')
    assert.equal(conditionOf(pipeline, 'Ready')?.status, 'True')
    const deployment = await deploymentOf(cluster)
    assert.deepEqual(
      deployment?.metadata.ownerReferences?.map(({ uid }) => uid),
      [pipeline?.metadata.uid],
    )
    return deployment as Loose
  }, slow)
}

/** As a backup tool keeps an object: without its owner, its version and its status. */
function stripped({ metadata, status: _, ...rest }: Loose): object {
  const { name, namespace: home, labels, annotations } = metadata
  return { ...rest, metadata: { name, namespace: home, labels, annotations } }
}

const anywhere = { controllers: true, namespaces: [] }
const template = (deployment: Loose) => at(deployment, 'spec.template')

async function operate(t: TestContext, cluster: Cluster) {
  const operator = await startOperator(t, cluster, { podNamespace: own, namespaces: '' })
  return { stop: async () => assert.equal(await operator.stop(), 0) }
}

test('the commands of docs/backup.md restore pipelines, and the key of the operator', needsControllers, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-backup-'))
  t.after(async () => await rm(folder, { recursive: true, force: true }))
  const [old, empty, redis] = await Promise.all([startCluster(t, anywhere), startCluster(t, anywhere), startRedis(t)])
  const [save = ''] = await shellBlocks('backup.md', 'Back up')
  const [restoreKey = '', restorePipelines = ''] = await shellBlocks('backup.md', 'Restore into an empty cluster')
  const [suspend = ''] = await shellBlocks('backup.md', 'Redis')

  for (const each of [own, 'farm']) await old.apply(namespace(each))
  const first = await operate(t, old)
  await old.apply(minimalPipeline('ndvi', 'farm', { redis: { url: redis.url }, scaling: { policy: 'Manual' }, replicas: 0 }))
  const saved = await settled(old)
  await type(t, old, folder, save)
  await first.stop()

  let operator: Awaited<ReturnType<typeof operate>>
  const loseNamespace = async () => {
    await operator.stop()
    const { code, stderr } = await empty.server.kubectl(['delete', 'namespace', own, '--timeout=60s'])
    assert.equal(code, 0, stderr)
  }

  await t.test('without the key a restored pipeline waits until the claim of its earlier life ends', async () => {
    for (const each of [own, 'farm']) await empty.apply(namespace(each))
    operator = await operate(t, empty)
    const { code, stderr } = await empty.server.kubectl(['create', '-f', join(folder, 'pipelines.yaml')])
    assert.equal(code, 0, stderr)
    await eventually(async () => {
      const pipeline = await empty.get<Loose>(kinds.pipelineType, 'farm', 'ndvi')
      assert.equal(conditionOf(pipeline, 'RedisReachable')?.reason, 'StreamClaimed')
    }, slow)
    await empty.remove(kinds.pipelineType, 'farm', 'ndvi')
    await eventually(async () => assert.equal(await deploymentOf(empty), undefined), slow)
    await loseNamespace()
  })

  await type(t, empty, folder, restoreKey)
  await empty.apply(stripped(saved))
  operator = await operate(t, empty)
  await type(t, empty, folder, restorePipelines)
  const restored = await settled(empty)
  assert.equal(restored.metadata.generation, 2, 'consumers of another uid restart, once')

  await t.test('a suspended pipeline has no consumer while Redis is restored', async (part) => {
    await type(part, empty, folder, suspend.replaceAll('NAMESPACE', 'farm').replaceAll('NAME', 'ndvi'))
  })

  const kept = await settled(empty)

  await t.test('without the key each consumer restarts, once', async () => {
    await loseNamespace()
    await empty.apply(namespace(own))
    operator = await operate(t, empty)
    const changed = await eventually(async () => {
      const deployment = await settled(empty)
      assert.notDeepEqual(template(deployment), template(kept))
      return deployment
    }, slow)
    assert.equal(changed.metadata.generation, Number(kept.metadata.generation) + 1)
    const { code, stdout } = await empty.server.kubectl(['get', 'secret', signingSecretName, '-n', own, '-o', 'yaml'])
    assert.equal(code, 0)
    await writeFile(join(folder, 'signing.yaml'), stdout.replace(/^ {2}resourceVersion: .*\n/m, ''))
  })

  await t.test('with the key none does', async (part) => {
    const before = await settled(empty)
    await loseNamespace()
    await type(part, empty, folder, restoreKey)
    operator = await operate(t, empty)
    // A change that reaches the consumers' file shows that this operator has written.
    await empty.patch(kinds.pipelineType, 'farm', 'ndvi', { metadata: { labels: { seen: 'yes' } }, spec: { suspend: false } })
    await eventually(async () => {
      const pipeline = await empty.get<Loose>(kinds.pipelineType, 'farm', 'ndvi')
      assert.equal(at(pipeline, 'status.observedGeneration'), pipeline?.metadata.generation)
    }, slow)
    assert.deepEqual(template(await settled(empty)), template(before))
  })
})
