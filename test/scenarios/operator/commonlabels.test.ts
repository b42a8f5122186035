/** A cluster whose policy demands a label on Deployments: defaults of the operator satisfy it, and are kept where others remove them. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configMapType, deploymentType } from '../../../operator/plan/kinds.ts'
import { at, conditionOf, type Loose, minimalPipeline, startCluster, startOperator } from '../../operator/cluster.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 60_000 }
const policy = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name: 'team' },
  spec: {
    matchConstraints: {
      resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['deployments'] }],
    },
    validations: [{ expression: "has(object.metadata.labels) && 'team' in object.metadata.labels", message: 'team is required' }],
  },
}
const binding = {
  apiVersion: policy.apiVersion,
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name: 'team' },
  spec: { policyName: 'team', validationActions: ['Deny'] },
}
const pipelineType = { apiVersion: 'streampipeline.dev/v1alpha1', kind: 'StreamPipeline', plural: 'streampipelines' }

test('a policy that demands labels on Deployments is satisfied by common labels', needsApiServer, async (t) => {
  const cluster = await startCluster(t)
  await cluster.apply({ apiVersion: 'v1', kind: 'List', items: [policy, binding] })
  const probe = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'probe', namespace: 'default' }, spec: bareSpec }
  // A policy is heeded a little after it was written.
  await eventually(async () => {
    const { stderr } = await cluster.server.kubectl(['apply', '--dry-run=server', '-f', '-'], JSON.stringify(probe))
    assert.match(stderr, /team is required/)
  }, slow)
  await cluster.apply(minimalPipeline('ndvi', 'default', { redis: { url: 'redis://127.0.0.1:1/0' } }))
  const consumerDefaults = JSON.stringify({ commonLabels: { team: 'maps' }, commonAnnotations: { owner: 'sre' } })
  await startOperator(t, cluster, { consumerDefaults })
  const deployment = () => cluster.get(deploymentType, 'default', 'ndvi-consumer')
  const settled = async () => {
    const metadata = at(await deployment(), 'metadata')
    assert.deepEqual([at(metadata, 'labels.team'), at(metadata, 'annotations.owner')], ['maps', 'sre'])
    const condition = conditionOf(await cluster.get<Loose>(pipelineType, 'default', 'ndvi'), 'Reconciled')
    assert.equal(condition?.status, 'True', condition?.message ?? '')
  }
  await eventually(settled, slow)
  assert.equal(at(await deployment(), 'spec.template.metadata.labels.team'), undefined)

  for (const type of [deploymentType, configMapType])
    await cluster.patch(type, 'default', 'ndvi-consumer', { metadata: { annotations: { owner: null } } })
  await eventually(settled, slow)
  await eventually(async () => {
    assert.equal(at(await cluster.get(configMapType, 'default', 'ndvi-consumer'), 'metadata.annotations.owner'), 'sre')
  }, slow)
})

const bareSpec = {
  selector: { matchLabels: { app: 'probe' } },
  template: { metadata: { labels: { app: 'probe' } }, spec: { containers: [{ name: 'probe', image: 'probe' }] } },
}
