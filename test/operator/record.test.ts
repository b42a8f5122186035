import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeploymentObject } from '../../operator/plan/deployment.ts'
import { templateOf, templateSeen, templateWritten } from '../../operator/record.ts'

const deployment = (
  generation: number,
  image: string,
  replicas: number,
  uid = 'u',
  status?: DeploymentObject['status'],
): DeploymentObject =>
  ({
    metadata: { name: 'ndvi-consumer', uid, generation },
    spec: { replicas, template: { spec: { containers: [{ name: 'consumer', image }] } } },
    ...(status && { status }),
  }) as unknown as DeploymentObject

const since = '2026-11-22T12:00:00Z'
const rolledOut = { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable', lastUpdateTime: since }
const pods = (observedGeneration: number, count: number, availableReplicas: number) => ({
  observedGeneration,
  replicas: count,
  updatedReplicas: count,
  readyReplicas: availableReplicas,
  availableReplicas,
  conditions: [rolledOut],
})

test('a write that only undoes a number of replicas begins no rollout', () => {
  assert.equal(templateWritten(deployment(4, 'a', 7), deployment(5, 'a', 2)), undefined)
  assert.equal(templateWritten(deployment(5, 'a', 2), deployment(5, 'a', 2)), undefined)
})

test('a new template, a new object and a change between begin one', () => {
  assert.deepEqual(templateWritten(undefined, deployment(1, 'a', 2)), { uid: 'u', generation: 1 })
  assert.deepEqual(templateWritten(deployment(4, 'a', 2), deployment(5, 'b', 2)), { uid: 'u', generation: 5 })
  assert.deepEqual(templateWritten(deployment(4, 'a', 2), deployment(6, 'a', 2)), { uid: 'u', generation: 6 })
  assert.deepEqual(templateWritten(deployment(4, 'a', 2, 'gone'), deployment(1, 'a', 2)), { uid: 'u', generation: 1 })
})

test('a write that moves no generation changes no template, also where the cache holds none', () => {
  const trimmed = { metadata: { name: 'ndvi-consumer', uid: 'u', generation: 5 }, spec: { replicas: 2 } } as DeploymentObject
  assert.equal(templateWritten(trimmed, deployment(5, 'a', 2)), undefined)
})

test('the condition from before a template was written counts again once all pods of that template were available', () => {
  const before = deployment(4, 'b', 2, 'u', pods(4, 2, 2))
  const written = templateWritten(before, deployment(5, 'a', 2, 'u', pods(4, 2, 2)))
  assert.deepEqual(written, { uid: 'u', generation: 5, standingSince: since })
  assert.equal(templateSeen(written, deployment(5, 'a', 2, 'u', pods(4, 2, 2))), written, 'not taken up yet')
  assert.equal(templateSeen(written, deployment(5, 'a', 2, 'u', pods(5, 2, 1))), written, 'not all are available')
  assert.equal(templateSeen(written, deployment(1, 'a', 2, 'another', pods(1, 2, 2))), written, 'another Deployment')
  assert.equal(templateSeen(written, undefined), written)
  const seen = templateSeen(written, deployment(5, 'a', 2, 'u', pods(5, 2, 2)))
  assert.deepEqual(seen, { uid: 'u', generation: 5 })
  assert.equal(templateSeen(seen, deployment(6, 'a', 3, 'u', pods(6, 3, 2))), seen, 'a consumer was added')
})

test('the record of a template counts for its own Deployment', () => {
  const template = { uid: 'u', generation: 5 }
  assert.equal(templateOf(template, deployment(5, 'a', 2)), template)
  assert.equal(templateOf(template, deployment(1, 'a', 2, 'another')), undefined)
  assert.equal(templateOf(template, undefined), undefined)
  assert.equal(templateOf(undefined, deployment(5, 'a', 2)), undefined)
})
