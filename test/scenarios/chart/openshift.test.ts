/** The pods of the chart and of consumers name no user, so that restricted-v2 of OpenShift (platforms/openshift.ts) assigns one. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { desiredChildren } from '../../../operator/plan/children.ts'
import { observed, pipelineObject, read } from '../../operator/builder.ts'
import { at } from '../../operator/cluster.ts'
import { needsApiServer, ordinary, startApiServer } from '../../support/apiserver.ts'
import { eventually } from '../../support/wait.ts'
import { needsMutatingPolicies } from '../platforms/admission.ts'
import { isAssigned, openShiftAssigns, openShiftNamespace, openShiftRefuses } from '../platforms/openshift.ts'
import { needsHelm, render } from './chart.ts'

const namespace = 'shift'

const asPod = (name: string, template: unknown) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace },
  // The server would look for accounts and classes that are not there.
  spec: { ...(at(template, 'spec') as object), serviceAccountName: 'default' },
})

const skip = needsHelm.skip || needsApiServer.skip || needsMutatingPolicies.skip

test('restricted-v2 of OpenShift admits every pod, with default values', { skip }, async (t) => {
  const server = await startApiServer(t, { ...ordinary, controllers: ['serviceaccount-controller'] })
  const create = async (object: unknown) =>
    await server.kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], JSON.stringify(object))
  const { code, stderr } = await server.kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [openShiftNamespace(namespace), ...openShiftRefuses, ...openShiftAssigns],
    }),
  )
  assert.equal(code, 0, stderr)
  await eventually(
    async () => assert.equal((await server.kubectl(['get', 'serviceaccount', 'default', '-n', namespace])).code, 0),
    {
      timeoutMs: 60_000,
    },
  )
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
  const fixed = asPod('fixed', {
    spec: {
      ...(at(operator, 'spec') as object),
      securityContext: { ...(at(operator, 'spec.securityContext') as object), runAsUser: 65_532 },
    },
  })
  await eventually(async () => assert.match((await create(fixed)).stderr, /must be in the ranges of the namespace/), {
    timeoutMs: 60_000,
  })
  for (const pod of [asPod('operator', operator), asPod('test', helmTest), asPod('consumer', consumer)]) {
    const created = await create(pod)
    assert.equal(created.code, 0, created.stderr)
    const uid = at(JSON.parse(created.stdout), 'spec.containers.0.securityContext.runAsUser')
    assert.ok(isAssigned(Number(uid)), String(uid))
  }
})
