/**
 * The table on a real API server, by a user who may do nothing but write pipelines. Without limits: what gets made. With them:
 * refused by the operator, in a condition, and by the chart's admission policy, in the same words.
 */
import '../../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listLimits } from '../../../../operator/limits.ts'
import * as kinds from '../../../../operator/plan/kinds.ts'
import { at, type Cluster, conditionOf, minimalPipeline, startCluster, startOperator } from '../../../operator/cluster.ts'
import { allowed, limits, type Row, refused, refusedLocally } from '../../../operator/tenancy/table.ts'
import { needsApiServer } from '../../../support/apiserver.ts'
import { eventually } from '../../../support/wait.ts'
import { needsHelm, render } from '../../chart/chart.ts'

const skip = needsHelm.skip || needsApiServer.skip
const patience = { timeoutMs: 60_000, intervalMs: 200 }
const rbac = 'rbac.authorization.k8s.io'
const [open, limited] = ['open', 'limited']

const pipeline = (name: string, namespace: string, spec: Record<string, unknown>) =>
  minimalPipeline(name, namespace, { redis: { url: 'redis://redis:6379' }, scaling: { policy: 'Manual' }, ...spec })

const flags = Object.fromEntries(listLimits.map(({ value }) => [value, limits[value].join(',')]))

async function start(t: Parameters<typeof startCluster>[0]): Promise<Cluster> {
  const cluster = await startCluster(t, { namespaces: [open, limited, 'default'] })
  const rules = [
    { apiGroups: ['streampipeline.dev'], resources: ['streampipelines'], verbs: ['create', 'get', 'patch', 'delete'] },
  ]
  const items = [open, limited].flatMap((namespace) => [
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: { name: 'tenant', namespace }, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: { name: 'tenant', namespace },
      subjects: [{ kind: 'User', name: 'scoped', apiGroup: rbac }],
      roleRef: { kind: 'Role', name: 'tenant', apiGroup: rbac },
    },
  ])
  await cluster.apply({ apiVersion: 'v1', kind: 'List', items })
  for (const namespace of [open, limited])
    await cluster.permits('scoped', { verb: 'create', group: 'streampipeline.dev', resource: 'streampipelines', namespace })
  return cluster
}

test('what a user who may only write pipelines gets made, and what the limits refuse', { skip }, async (t) => {
  const cluster = await start(t)
  const asTenant = async (items: readonly unknown[], ...args: string[]) =>
    await cluster.server.kubectl(['create', ...args, '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
      user: 'scoped',
    })
  const tried = [...refused, ...allowed]
  for (const namespace of [open, limited]) {
    const { code, stderr } = await asTenant(tried.map(({ name, spec }) => pipeline(name, namespace, spec)))
    assert.equal(code, 0, stderr)
  }

  await t.test('without limits all of it is made', async (t) => {
    const operator = await startOperator(t, cluster, { namespaces: open })
    const rows = refused.filter(({ made }) => made !== undefined)
    for (const { name, made: [path, value] = ['', ''] } of rows) {
      await eventually(async () => {
        const deployment = await cluster.get(kinds.deploymentType, open, `${name}-consumer`)
        assert.deepEqual(at(deployment, `spec.template.spec.${path}`), value, name)
      }, patience)
    }
    assert.equal(await operator.stop(), 0)
  })

  await t.test('with them the operator makes none of it, and says why', async (t) => {
    const operator = await startOperator(t, cluster, {
      namespaces: limited,
      limits: { ...flags, restrictedPods: true, localRedis: 'refuse' },
    })
    for (const { name, field } of refused) {
      await eventually(async () => {
        const found = await cluster.get(kinds.pipelineType, limited, name)
        const reconciled = conditionOf(found, 'Reconciled')
        assert.equal(reconciled?.reason, 'PolicyRefused', `${name}: ${JSON.stringify(reconciled)}`)
        assert.ok(reconciled.message.startsWith(`the operator's limits refuse ${field}: `), reconciled.message)
        assert.match(reconciled.message, /ask the administrator of the operator to widen tenancy\./)
        assert.equal(conditionOf(found, 'Stalled')?.status, 'True')
      }, patience)
      assert.equal(await cluster.get(kinds.deploymentType, limited, `${name}-consumer`), undefined, name)
    }
    for (const { name } of allowed) {
      await eventually(
        async () => assert.ok(await cluster.get(kinds.deploymentType, limited, `${name}-consumer`), name),
        patience,
      )
    }
    assert.equal(await operator.stop(), 0)
  })

  await t.test('and the API server takes none of it, in the same words', async () => {
    const values = Object.fromEntries(Object.entries(limits).map(([name, value]) => [`tenancy.${name}`, value]))
    const manifests = (await render(t, values)).filter(({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'))
    assert.equal(manifests.length, 2)
    for (const manifest of manifests) await cluster.apply(manifest)
    const dry = async (name: string, spec: Record<string, unknown>) =>
      await asTenant([pipeline(`new-${name}`, limited, spec)], '--dry-run=server')
    await eventually(async () => assert.notEqual((await dry('first', refused[0]?.spec ?? {})).code, 0), patience)
    const fresh = (rows: readonly Pick<Row, 'name' | 'spec'>[]) =>
      asTenant(
        rows.map(({ name, spec }) => pipeline(`new-${name}`, limited, spec)),
        '--dry-run=server',
      )
    const { stderr, stdout } = await fresh(refused)
    assert.equal(stdout, '')
    const answers = stderr.split('Error from server').slice(1)
    assert.equal(answers.length, refused.length, stderr)
    for (const { name } of refused) {
      const answer = answers.find((text) => text.includes(`"new-${name}"`)) ?? ''
      const reported = conditionOf(await cluster.get(kinds.pipelineType, limited, name), 'Reconciled')?.message
      const [sentence = 'no condition'] = reported?.split('. Correct the field') ?? []
      assert.ok(answer.includes(sentence), `${answer}\n${sentence}`)
    }
    const taken = await fresh(allowed)
    assert.equal(taken.code, 0, taken.stderr)
    // A pipeline older than the limits may be annotated and deleted, and changed into an allowed one.
    const patch = async (name: string, body: unknown) =>
      await cluster.server.kubectl(['patch', 'streampipeline', name, '-n', limited, '--type=merge', '-p', JSON.stringify(body)], {
        user: 'scoped',
      })
    assert.equal((await patch('image-0', { metadata: { annotations: { a: 'b' } } })).code, 0)
    assert.notEqual((await patch('image-0', { spec: { suspend: true } })).code, 0)
    assert.equal((await patch('image-0', { spec: { consumer: { image: 'ghcr.io/acme/app' } } })).code, 0)
    const policy = await cluster.server.kubectl(['get', 'validatingadmissionpolicies', '-o', 'jsonpath={.items[0].status}'])
    assert.doesNotMatch(policy.stdout, /expressionWarnings/, policy.stdout)
    await cluster.server.kubectl(['delete', 'validatingadmissionpolicies,validatingadmissionpolicybindings', '--all'])
  })

  await t.test('local addresses are refused by the chart as it comes, once it has a policy', async () => {
    const manifests = (await render(t, { 'tenancy.images': [] })).filter(({ kind }) => kind.startsWith('ValidatingAdmission'))
    for (const manifest of manifests) await cluster.apply(manifest)
    const url = (host: string) =>
      asTenant([pipeline('local', limited, { redis: { url: `redis://${host}` } })], '--dry-run=server')
    // Each policy and each binding reaches the admission plugin in its own time.
    const refusal = 'may not be a loopback or link-local address of the operator'
    await eventually(async () => assert.ok((await url('127.0.0.1')).stderr.includes(refusal)), patience)
    const items = refusedLocally.map((host, index) => pipeline(`local-${index}`, limited, { redis: { url: `redis://${host}` } }))
    const { stdout, stderr } = await asTenant(items, '--dry-run=server')
    assert.equal(stdout, '')
    assert.equal(stderr.split(refusal).length, refusedLocally.length + 1, stderr)
    assert.equal((await url('redis')).code, 0)
    const signing = { passwordFrom: { secretKeyRef: { name: 'streampipeline-operator-signing', key: 'key' } } }
    const named = async (namespace: string, spec: Record<string, unknown> = { redis: { url: 'redis://redis', ...signing } }) =>
      await cluster.server.kubectl(['create', '--dry-run=server', '-f', '-'], {
        input: JSON.stringify(pipeline('sign', namespace, spec)),
      })
    assert.equal((await named(open)).code, 0)
    await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ops' } })
    await eventually(async () => assert.match((await named('ops')).stderr, /-signing is the operator's own/), patience)
    const csi = (name: string) => ({ name: 'v', csi: { driver: 'd', nodePublishSecretRef: { name } } })
    const mounting = (name: string) => named('ops', { consumer: { volumes: [{ name: 'w', emptyDir: {} }, csi(name)] } })
    assert.match((await mounting('streampipeline-operator-signing')).stderr, /is the operator's own/)
    assert.equal((await mounting('other')).code, 0)
  })
})
