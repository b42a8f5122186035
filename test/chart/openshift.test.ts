/**
 * OpenShift's restricted-v2, played by its rules as an admission policy: it assigns users and groups from a range of the namespace, and
 * refuses a pod that names others. The pods of the chart and of consumers name none.
 */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { desiredChildren } from '../../operator/plan/children.ts'
import { observed, pipelineObject, read } from '../operator/builder.ts'
import { at } from '../operator/cluster.ts'
import { needsApiServer, startApiServer } from '../support/apiserver.ts'
import { eventually } from '../support/wait.ts'
import { needsHelm, render } from './chart.ts'

const restricted = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name: 'restricted-v2' },
  spec: {
    failurePolicy: 'Fail',
    matchConstraints: {
      resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
    },
    variables: [
      { name: 'pod', expression: 'object.spec.?securityContext.orValue({})' },
      { name: 'ids', expression: '[variables.pod.?runAsUser, variables.pod.?fsGroup]' },
      { name: 'own', expression: 'object.spec.containers.map(c, c.?securityContext.?runAsUser)' },
    ],
    validations: [
      {
        expression:
          '(variables.ids + variables.own).all(id, !id.hasValue() || (id.value() >= 1000680000 && id.value() < 1000690000))',
        message: 'must be in the ranges: [1000680000, 1000689999]',
      },
      {
        expression:
          'object.spec.containers.all(c, !c.securityContext.allowPrivilegeEscalation && c.securityContext.capabilities.drop == ["ALL"])',
        message: 'privileges are not allowed',
      },
      {
        expression:
          "object.spec.?volumes.orValue([]).all(v, ['configMap', 'downwardAPI', 'emptyDir', 'ephemeral', 'projected', 'secret'].exists(k, k in v))",
        message: 'this type of volume is not allowed',
      },
    ],
  },
}
const binding = {
  apiVersion: restricted.apiVersion,
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name: 'restricted-v2' },
  spec: { policyName: 'restricted-v2', validationActions: ['Deny'] },
}

const asPod = (name: string, template: unknown) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  // The server would look for accounts and classes that are not there.
  spec: { ...(at(template, 'spec') as object), serviceAccountName: 'default' },
})

const skip = needsHelm.skip || needsApiServer.skip

test('restricted-v2 of OpenShift admits every pod, with default values', { skip }, async (t) => {
  const server = await startApiServer(t, { controllers: ['serviceaccount-controller'] })
  const create = async (object: unknown) =>
    await server.kubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(object))
  await eventually(async () => assert.equal((await server.kubectl(['get', 'serviceaccount', 'default'])).code, 0), {
    timeoutMs: 60_000,
  })
  const { code, stderr } = await server.kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [restricted, binding] }),
  )
  assert.equal(code, 0, stderr)
  const manifests = await render(t)
  const operator = at(
    manifests.find(({ kind }) => kind === 'Deployment'),
    'spec.template',
  )
  const helmTest = manifests.find(({ kind }) => kind === 'Pod')
  const object = pipelineObject()
  const children = desiredChildren(observed(object), read(object), 'Stream').map((child) => child.object)
  const consumer = at(
    children.find(({ kind }) => kind === 'Deployment'),
    'spec.template',
  )
  const fixed = asPod('fixed', { spec: { ...(at(operator, 'spec') as object), securityContext: { runAsUser: 65_532 } } })
  await eventually(async () => assert.match((await create(fixed)).stderr, /must be in the ranges/), { timeoutMs: 60_000 })
  for (const pod of [asPod('operator', operator), asPod('test', helmTest), asPod('consumer', consumer)]) {
    const created = await create(pod)
    assert.equal(created.code, 0, created.stderr)
  }
})
