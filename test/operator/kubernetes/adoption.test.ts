/**
 * Objects that lost their owner: restored by backup tools of both kinds (owner references stripped, or naming the uid of an owner
 * that was restored under another one), left behind by `--cascade=orphan`, robbed of their reference while an operator runs. And
 * strangers', which are never touched. On a real API server, with and without its garbage collector.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { belongingOf } from '../../../operator/kubernetes/adoption.ts'
import { appliedAnnotation } from '../../../operator/kubernetes/drift.ts'
import type { KubernetesObject, ResourceType } from '../../../operator/kubernetes/objects.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { childLabels, consumerName, dispatchName } from '../../../operator/plan/names.ts'
import { needsApiServer, needsControllers } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import {
  at,
  borrowCluster,
  type Cluster,
  conditionOf,
  type Loose,
  minimalPipeline,
  startCluster,
  startOperator,
} from '../cluster.ts'

const slow = { timeoutMs: 60_000 }
const children: readonly (readonly [ResourceType, (pipeline: string) => string])[] = [
  [kinds.deploymentType, consumerName],
  [kinds.configMapType, consumerName],
  [kinds.configMapType, dispatchName],
  [kinds.serviceAccountType, consumerName],
  [kinds.disruptionBudgetType, consumerName],
]

const owner = { apiVersion: 'streampipeline.dev/v1alpha1', kind: 'StreamPipeline', name: 'ndvi', uid: 'new', controller: true }
const ours = (more: KubernetesObject['metadata'] = {}): KubernetesObject => ({
  metadata: { name: 'ndvi-consumer', labels: childLabels('ndvi'), annotations: { [appliedAnnotation]: 'x' }, ...more },
})
const other = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'ndvi', uid: 'd' }
const cases: readonly (readonly [string, KubernetesObject, string])[] = [
  ['ours with our owner', ours({ ownerReferences: [owner] }), 'Ours'],
  ['ours with our owner and another', ours({ ownerReferences: [other, owner] }), 'Ours'],
  ['ours without one', ours(), 'Orphaned'],
  ['ours with an earlier owner', ours({ ownerReferences: [{ ...owner, uid: 'old' }] }), 'Orphaned'],
  [
    'ours with an earlier owner of another version',
    ours({ ownerReferences: [{ ...owner, uid: 'old', apiVersion: 'streampipeline.dev/v1beta1' }] }),
    'Orphaned',
  ],
  ['ours, being deleted', ours({ deletionTimestamp: '2026-11-22T16:00:00Z' }), 'Leaving'],
  ['ours, controlled by another kind', ours({ ownerReferences: [{ ...other, controller: true }] }), 'Strange'],
  ['ours, owned by another kind', ours({ ownerReferences: [other] }), 'Strange'],
  ['ours, owned by an earlier owner and another kind', ours({ ownerReferences: [{ ...owner, uid: 'old' }, other] }), 'Strange'],
  ['ours, owned by a pipeline of another name', ours({ ownerReferences: [{ ...owner, name: 'moon', uid: 'm' }] }), 'Strange'],
  [
    'ours, owned by a namesake of another group',
    ours({ ownerReferences: [{ ...owner, uid: 'o', apiVersion: 'x/v1' }] }),
    'Strange',
  ],
  ['a copy of it for another pipeline', ours({ labels: childLabels('moon') }), 'Strange'],
  ['one without our stamp', ours({ annotations: {} }), 'Strange'],
  ['one of another maker', ours({ labels: { ...childLabels('ndvi'), 'app.kubernetes.io/managed-by': 'Helm' } }), 'Strange'],
  ['one with nothing of ours', { metadata: { name: 'ndvi-consumer' } }, 'Strange'],
]

for (const [name, live, kind] of cases) {
  test(`whose it is: ${name}`, () => {
    const desired = { metadata: { name: 'ndvi-consumer', labels: childLabels('ndvi'), ownerReferences: [owner] } }
    assert.equal(belongingOf(live, desired, owner).kind, kind)
  })
}

async function site(t: TestContext, controllers?: readonly string[]) {
  const started: Promise<Cluster> = controllers === undefined ? borrowCluster(t) : startCluster(t, { controllers })
  const [cluster, redis] = await Promise.all([started, startRedis(t)])
  const pipeline = (name: string) => cluster.get<Loose>(kinds.pipelineType, 'default', name)
  const make = (name: string, spec: object = {}) =>
    cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url }, ...spec }))
  const reason = (name: string, expected: string) =>
    eventually(async () => {
      const found = conditionOf(await pipeline(name), 'Reconciled')
      assert.equal(found?.reason, expected, `${name}: ${found?.message}`)
      assert.equal(at(await pipeline(name), 'status.observedGeneration'), (await pipeline(name))?.metadata.generation)
    }, slow)
  const childrenOf = async (name: string) =>
    await Promise.all(children.map(([type, nameOf]) => cluster.get<Loose>(type, 'default', nameOf(name))))
  const owned = async (name: string) => {
    const uid = (await pipeline(name))?.metadata.uid
    for (const child of await childrenOf(name))
      assert.deepEqual(
        child?.metadata.ownerReferences?.map((each) => each.uid),
        [uid],
        `${child?.kind} ${child?.metadata.name}`,
      )
  }
  return { cluster, redis, pipeline, make, reason, childrenOf, owned }
}

/** As a backup tool keeps an object. */
function backedUp(object: Loose | undefined, keepsOwners: boolean): Loose {
  assert.ok(object)
  const { name, namespace, labels, annotations, ownerReferences } = object.metadata
  const { status: _, ...rest } = object
  const metadata = { name, namespace, labels, annotations, ...(keepsOwners ? { ownerReferences } : {}) }
  return { ...rest, metadata } as unknown as Loose
}

async function create(cluster: Cluster, objects: readonly Loose[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
  const { code, stderr } = await cluster.server.kubectl(['create', '-f', '-'], list)
  assert.equal(code, 0, stderr)
}

for (const keepsOwners of [false, true])
  test(
    `a backup ${keepsOwners ? 'with the owners of its time' : 'without owners'} is taken over, and made what the spec says`,
    needsApiServer,
    async (t) => {
      const { cluster, pipeline, make, reason, childrenOf, owned } = await site(t)
      const first = await startOperator(t, cluster)
      await make('back', { consumer: { env: [{ name: 'EARLIER', value: 'yes' }] } })
      await reason('back', 'ObjectsApplied')
      const kept = (await childrenOf('back')).map((each) => backedUp(each, keepsOwners))
      await cluster.patch(kinds.pipelineType, 'default', 'back', { spec: { consumer: { env: [] }, source: { batchSize: 9 } } })
      await reason('back', 'ObjectsApplied')
      const resource = backedUp(await pipeline('back'), keepsOwners)
      assert.equal(await first.stop(), 0)
      for (const [type, nameOf] of children) await cluster.remove(type, 'default', nameOf('back'))
      await cluster.remove(kinds.pipelineType, 'default', 'back')

      // Restored while an operator runs, the resource last. Without a garbage collector nothing takes them away.
      const second = await startOperator(t, cluster, { podName: 'second' })
      await create(cluster, kept)
      const uids = (await childrenOf('back')).map((each) => each?.metadata.uid)
      await create(cluster, [resource])
      await reason('back', 'ObjectsApplied')
      await owned('back')
      const restored = await childrenOf('back')
      assert.deepEqual(
        restored.map((each) => each?.metadata.uid),
        uids,
        'they are the same objects',
      )
      const env = at(restored[0], 'spec.template.spec.containers.0.env') as { name: string }[]
      assert.ok(!env.some(({ name }) => name === 'EARLIER'), 'what the spec no longer says goes')
      assert.match(JSON.stringify(restored[1]), /batchSize\W+9\b/)
      assert.equal(at(restored[0], 'spec.replicas'), 1)
      assert.ok(second.lines.some((line) => line.includes('an object without an owner was adopted')))
      // It scales on.
      await cluster.patch(kinds.pipelineType, 'default', 'back', { spec: { scaling: { policy: 'Manual' }, replicas: 3 } })
      await eventually(async () => assert.equal(at((await childrenOf('back'))[0], 'spec.replicas'), 3), slow)
    },
  )

test(
  'while a garbage collector runs, restored pipelines keep their objects and own them again, from both kinds of backups',
  needsControllers,
  async (t) => {
    const { cluster, pipeline, make, reason, childrenOf, owned } = await site(t, ['garbage-collector-controller'])
    await startOperator(t, cluster)
    for (const [name, keepsOwners] of [
      ['velero', false],
      ['plain', true],
    ] as const) {
      await make(name)
      await reason(name, 'ObjectsApplied')
      const all = (await childrenOf(name)).map((each) => backedUp(each, keepsOwners))
      const resource = backedUp(await pipeline(name), keepsOwners)
      await cluster.remove(kinds.pipelineType, 'default', name)
      await eventually(async () => assert.ok((await childrenOf(name)).every((each) => each === undefined)), slow)
      await create(cluster, all)
      await create(cluster, [resource])
      await reason(name, 'ObjectsApplied')
      await eventually(() => owned(name), slow)
      // The garbage collector does not remove the restored objects later, either.
      await new Promise((resolve) => setTimeout(resolve, 3_000))
      await owned(name)
    }
  },
)

test('while an operator runs', needsApiServer, async (suite) => {
  const { cluster, pipeline, make, reason, childrenOf, owned } = await site(suite)
  const operator = await startOperator(suite, cluster)
  const json = async (type: ResourceType, name: string, patch: object) => {
    const { code, stderr } = await cluster.server.kubectl([
      'patch',
      type.plural,
      name,
      '--type=json',
      '-p',
      JSON.stringify([patch]),
    ])
    assert.equal(code, 0, stderr)
  }
  await make('kept', { scaling: { policy: 'Manual' }, replicas: 2 })
  await reason('kept', 'ObjectsApplied')

  await suite.test('objects that lose their owner have it again, and the Deployment is scaled on', async () => {
    for (const [type, nameOf] of children) await json(type, nameOf('kept'), { op: 'remove', path: '/metadata/ownerReferences' })
    await eventually(() => owned('kept'), slow)
    await cluster.patch(kinds.pipelineType, 'default', 'kept', { spec: { replicas: 4 } })
    await eventually(async () => assert.equal(at((await childrenOf('kept'))[0], 'spec.replicas'), 4), slow)
  })

  await suite.test('labels of ours that are taken off or changed come back', async () => {
    for (const name of ['app.kubernetes.io/managed-by', 'streampipeline.dev/name', 'app.kubernetes.io/component'])
      for (const [type, nameOf] of children)
        await json(type, nameOf('kept'), { op: 'replace', path: `/metadata/labels/${name.replace('/', '~1')}`, value: 'other' })
    await eventually(async () => {
      for (const child of await childrenOf('kept'))
        assert.deepEqual(child?.metadata.labels, childLabels('kept'), `${child?.kind}`)
    }, slow)
  })

  await suite.test('an object that another controller takes is reported, and left to it', async () => {
    const uid = (await cluster.get({ apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces' }, '', 'default'))?.metadata.uid
    const thief = { apiVersion: 'v1', kind: 'Namespace', name: 'default', uid, controller: true }
    await json(kinds.configMapType, dispatchName('kept'), { op: 'replace', path: '/metadata/ownerReferences', value: [thief] })
    await reason('kept', 'NameTaken')
    const taken = await cluster.get(kinds.configMapType, 'default', dispatchName('kept'))
    assert.equal(taken?.metadata.ownerReferences?.[0]?.kind, 'Namespace')
    await json(kinds.configMapType, dispatchName('kept'), { op: 'remove', path: '/metadata/ownerReferences' })
    await reason('kept', 'ObjectsApplied')
  })

  await suite.test('a copy of ours under another name stays untouched', async () => {
    const copy = backedUp(await cluster.get<Loose>(kinds.configMapType, 'default', consumerName('kept')), false)
    await create(cluster, [{ ...copy, metadata: { ...copy.metadata, name: consumerName('mine') } }])
    const before = await cluster.get(kinds.configMapType, 'default', consumerName('mine'))
    await make('mine')
    await reason('mine', 'NameTaken')
    assert.deepEqual(await cluster.get(kinds.configMapType, 'default', consumerName('mine')), before)
    await cluster.remove(kinds.configMapType, 'default', consumerName('mine'))
    await reason('mine', 'ObjectsApplied')
  })

  await suite.test('one on its way out is awaited, and made anew', async () => {
    const map = [kinds.configMapType, dispatchName('late')] as const
    await make('late')
    await reason('late', 'ObjectsApplied')
    await json(...map, { op: 'add', path: '/metadata/finalizers', value: ['example.dev/slow'] })
    const old = await cluster.get(map[0], 'default', map[1])
    await cluster.remove(kinds.pipelineType, 'default', 'late')
    await json(...map, { op: 'remove', path: '/metadata/ownerReferences' })
    await cluster.remove(map[0], 'default', map[1])
    await make('late')
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    assert.ok((await cluster.get(map[0], 'default', map[1]))?.metadata.deletionTimestamp)
    await json(...map, { op: 'remove', path: '/metadata/finalizers' })
    await reason('late', 'ObjectsApplied')
    const made = await cluster.get(map[0], 'default', map[1])
    assert.notEqual(made?.metadata.uid, old?.metadata.uid)
    assert.equal(made?.metadata.ownerReferences?.[0]?.uid, (await pipeline('late'))?.metadata.uid)
  })

  await suite.test(
    'an operator that does not know of this one and keeps changing an object back is reported, and not fought',
    async () => {
      await make('fought')
      await reason('fought', 'ObjectsApplied')
      const rival = async () => {
        const map = await cluster.get<Loose>(kinds.configMapType, 'default', consumerName('fought'))
        if (map?.metadata.annotations?.[appliedAnnotation] === 'rival') return 0
        const metadata = { annotations: { [appliedAnnotation]: 'rival' } }
        await cluster.patch(kinds.configMapType, 'default', consumerName('fought'), {
          metadata,
          data: { 'pipeline.yaml': 'theirs' },
        })
        return 1
      }
      let changed = 0
      const until = performance.now() + 15_000
      while (performance.now() < until) {
        changed += await rival()
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      await reason('fought', 'Contended')
      assert.ok(changed <= 8, `${changed} rounds`)
    },
  )
  assert.equal(await operator.stop(), 0)
})
