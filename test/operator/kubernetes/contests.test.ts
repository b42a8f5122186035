/** Writers that undo ours: put right when it happens once, reported by name when it goes on, left alone meanwhile. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createContests, losersOf, unknownWriter, writerOf } from '../../../operator/kubernetes/contests.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName, dispatchName } from '../../../operator/plan/names.ts'
import { needsControllers } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { at, conditionOf, type Loose, minimalPipeline, startCluster, startOperator } from '../cluster.ts'

const slow = { timeoutMs: 60_000, intervalMs: 100 }
const minute = 60_000

test('writers that undo our write three times within five minutes contest it, until five minutes pass without a change', () => {
  const contests = createContests()
  contests.undone('a', 'kubectl-edit', 0)
  contests.undone('a', unknownWriter, minute)
  assert.equal(contests.standing('a', minute), undefined)
  contests.undone('a', unknownWriter, 2 * minute)
  assert.equal(contests.standing('a', 2 * minute), 'kubectl-edit')
  assert.equal(contests.standing('b', 2 * minute), undefined)
  assert.equal(contests.standing('a', 7 * minute), undefined)
  // The try that follows is undone: once is enough.
  contests.undone('a', 'kubectl-edit', 8 * minute)
  assert.equal(contests.standing('a', 8 * minute), 'kubectl-edit')
  assert.equal(contests.standing('a', 13 * minute), undefined)
  // An hour later it starts anew.
  contests.undone('a', 'kubectl-edit', 80 * minute)
  assert.equal(contests.standing('a', 80 * minute), undefined)
})

test('changes that are far apart contest nothing', () => {
  const contests = createContests()
  for (let n = 0; n < 20; n++) {
    contests.undone('a', 'x', n * 4 * minute)
    assert.equal(contests.standing('a', n * 4 * minute), undefined)
  }
})

test('the writer is named from managedFields', () => {
  const scale = { manager: 'kube-controller-manager', operation: 'Update', subresource: 'scale', time: '2026-11-22T00:00:02Z' }
  const replicas = { 'f:spec': { 'f:replicas': {} } }
  const ours = { manager: 'streampipeline-scaler', operation: 'Apply', time: '2026-11-22T00:00:03Z', fieldsV1: replicas }
  const edit = { manager: 'kubectl-edit', operation: 'Update', time: '2026-11-22T00:00:01Z', fieldsV1: replicas }
  const managedFields = [ours, edit, { ...scale, fieldsV1: replicas }]
  const path = ['f:spec', 'f:replicas']
  assert.equal(
    writerOf({ metadata: { managedFields } }, path, ['streampipeline-scaler']),
    'kube-controller-manager through scale',
  )
  assert.equal(writerOf({ metadata: {} }, path, []), unknownWriter)
  const after = { metadata: { managedFields: [ours, { ...scale, fieldsV1: replicas }] } }
  assert.equal(losersOf({ metadata: { managedFields } }, after, ['streampipeline-scaler']), 'kubectl-edit')
  assert.equal(losersOf(after, after, ['streampipeline-scaler']), undefined)
  // A controller that writes status at the same time, or fields of its own, lost nothing.
  const status = { manager: 'kube-controller-manager', subresource: 'status', time: '2026-11-22T00:00:09Z' }
  const policy = { manager: 'policy', operation: 'Update', time: '2026-11-22T00:00:08Z' }
  const withBoth = (conditions: object, fields: object) => [
    { ...status, fieldsV1: { 'f:status': conditions } },
    { ...policy, fieldsV1: { 'f:metadata': fields } },
  ]
  const earlier = { metadata: { managedFields: [...managedFields, ...withBoth({ 'f:replicas': {} }, { 'f:a': {} })] } }
  const later = { metadata: { managedFields: [ours, ...withBoth({ 'f:conditions': {} }, { 'f:a': {}, 'f:b': {} })] } }
  assert.equal(losersOf(earlier, later, ['streampipeline-scaler', 'kubectl-edit']), 'kube-controller-manager through scale')
  assert.equal(losersOf(earlier, later, ['streampipeline-scaler']), 'kube-controller-manager through scale')
})

test('on an API server', needsControllers, async (suite) => {
  const [cluster, redis] = await Promise.all([startCluster(suite, { controllers: true }), startRedis(suite)])
  await startOperator(suite, cluster)
  for (const name of ['scaled', 'edited', 'deleted']) {
    await cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url } }))
  }
  const reconciled = async (name: string) =>
    conditionOf(await cluster.get<Loose>(kinds.pipelineType, 'default', name), 'Reconciled')
  const becomes = (name: string, reason: string) =>
    eventually(async () => {
      const found = await reconciled(name)
      assert.ok(found)
      assert.equal(found.reason, reason, found.message)
      return found
    }, slow)
  for (const name of ['scaled', 'edited', 'deleted']) await becomes(name, 'ObjectsApplied')

  await suite.test('an autoscaler on the Deployment is named with a remedy, and left alone', async () => {
    const deployment = () => cluster.get<Loose>(kinds.deploymentType, 'default', consumerName('scaled'))
    await eventually(async () => assert.equal(at(await deployment(), 'spec.replicas'), 1), slow)
    let corrected = 0
    for (let round = 0; round < 6; round++) {
      const scaled = await cluster.server.kubectl([
        'scale',
        'deployment',
        consumerName('scaled'),
        `--replicas=${5 + (round % 2)}`,
      ])
      assert.equal(scaled.code, 0, scaled.stderr)
      await eventually(async () => {
        const isBack = at(await deployment(), 'spec.replicas') === 1
        if (isBack) corrected += 1
        assert.ok(isBack || (await reconciled('scaled'))?.reason === 'Contended')
      }, slow)
    }
    const reported = await becomes('scaled', 'Contended')
    assert.match(
      reported.message,
      /kubectl through scale repeatedly changes spec\.replicas of Deployment scaled-consumer back.*leave the number alone/s,
    )
    assert.ok(corrected <= 3, `${corrected} times`)
    assert.notEqual(at(await deployment(), 'spec.replicas'), 1)
  })

  await suite.test('one who rewrites a field of ours is named, and left alone', async () => {
    const image = async () =>
      at(
        await cluster.get<Loose>(kinds.deploymentType, 'default', consumerName('edited')),
        'spec.template.spec.containers.0.image',
      )
    const ours = await image()
    for (let round = 0; round < 5; round++) {
      await cluster.server.kubectl([
        'set',
        'image',
        `deployment/${consumerName('edited')}`,
        `consumer=policy.example/i:${round}`,
        '--field-manager=image-policy',
      ])
      await eventually(
        async () => assert.ok((await image()) === ours || (await reconciled('edited'))?.reason === 'Contended'),
        slow,
      )
    }
    const reported = await becomes('edited', 'Contended')
    assert.match(reported.message, /image-policy repeatedly changes Deployment edited-consumer back/)
    assert.equal(await image(), 'policy.example/i:4')
  })

  await suite.test('what is deleted and edited once is mended within seconds', async () => {
    await cluster.remove(kinds.configMapType, 'default', consumerName('deleted'))
    await cluster.remove(kinds.disruptionBudgetType, 'default', consumerName('deleted'))
    await cluster.patch(kinds.configMapType, 'default', dispatchName('deleted'), { data: { STREAMPIPELINE_DISPATCH: 'broken' } })
    await eventually(
      async () => {
        assert.ok(await cluster.get(kinds.configMapType, 'default', consumerName('deleted')))
        assert.ok(await cluster.get(kinds.disruptionBudgetType, 'default', consumerName('deleted')))
        const dispatch = await cluster.get<Loose>(kinds.configMapType, 'default', dispatchName('deleted'))
        assert.match(String(at(dispatch, 'data.STREAMPIPELINE_DISPATCH')), /"mode":"Stream"/)
      },
      { timeoutMs: 15_000 },
    )
    assert.equal((await reconciled('deleted'))?.reason, 'ObjectsApplied')
  })
})
