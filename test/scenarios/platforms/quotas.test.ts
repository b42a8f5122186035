/**
 * Quotas and LimitRanges: pods with default values are admitted where requests and memory are counted. Where a quota counts CPU limits, or
 * priority classes as on GKE, one value is enough.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { desiredChildren } from '../../../operator/plan/children.ts'
import { compileConsumerDefaults } from '../../../operator/plan/consumerdefaults.ts'
import { observed, pipelineObject, read } from '../../operator/builder.ts'
import { at } from '../../operator/cluster.ts'
import { needsControllers, ordinary, startApiServer } from '../../support/apiserver.ts'
import type { ApiServer } from '../../support/serveraccess.ts'
import { eventually } from '../../support/wait.ts'
import { needsHelm, render } from '../chart/chart.ts'

const slow = { timeoutMs: 60_000 }

/** As GKE configures its API servers: such a class needs a quota in the namespace that names it. */
const limitedClasses = {
  apiVersion: 'apiserver.config.k8s.io/v1',
  kind: 'AdmissionConfiguration',
  plugins: [
    {
      name: 'ResourceQuota',
      configuration: {
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'ResourceQuotaConfiguration',
        limitedResources: [
          {
            resource: 'pods',
            matchScopes: [
              { scopeName: 'PriorityClass', operator: 'In', values: ['system-node-critical', 'system-cluster-critical'] },
            ],
          },
        ],
      },
    },
  ],
}

const quota = (namespace: string, name: string, spec: object): object => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name, namespace },
  spec,
})

const plenty = { 'requests.cpu': '8', 'requests.memory': '8Gi', 'limits.memory': '8Gi', pods: '20' }
const defaultCpu = {
  apiVersion: 'v1',
  kind: 'LimitRange',
  metadata: { name: 'cpu', namespace: 'ranged' },
  spec: { limits: [{ type: 'Container', default: { cpu: '1' }, max: { cpu: '2', memory: '1Gi' }, min: { memory: '16Mi' } }] },
}

const objects: readonly object[] = [
  quota('counted', 'compute', { hard: plenty }),
  quota('cpulimits', 'compute', { hard: { ...plenty, 'limits.cpu': '8' } }),
  quota('ranged', 'compute', { hard: { ...plenty, 'limits.cpu': '8' } }),
  defaultCpu,
  quota('critical', 'gcp-critical-pods', {
    hard: { pods: '20' },
    scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['system-cluster-critical'] }] },
  }),
  { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'platform' }, value: 1000 },
]
const namespaces = ['open', 'counted', 'cpulimits', 'ranged', 'critical']

function consumerTemplate(defaults: object): unknown {
  const object = pipelineObject()
  const base = observed(object)
  const settings = { ...base.settings, consumerDefaults: compileConsumerDefaults(JSON.stringify(defaults)) }
  const children = desiredChildren({ ...base, settings }, read(object), 'Stream').map((child) => child.object)
  return at(
    children.find(({ kind }) => kind === 'Deployment'),
    'spec.template',
  )
}

const asPod = (namespace: string, template: unknown): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { generateName: 'pod-', namespace },
  spec: { ...(at(template, 'spec') as object), serviceAccountName: 'default' },
})

async function refusal(server: ApiServer, namespace: string, template: unknown): Promise<string> {
  const pod = JSON.stringify(asPod(namespace, template))
  const { code, stderr } = await server.kubectl(['create', '--dry-run=server', '-f', '-'], pod)
  return code === 0 ? '' : stderr
}

test('quotas', { skip: needsHelm.skip || needsControllers.skip, timeout: 300_000 }, async (suite) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-quotas-'))
  suite.after(async () => await rm(folder, { recursive: true, force: true }))
  const config = join(folder, 'admission.yaml')
  await writeFile(config, JSON.stringify(limitedClasses))
  const server = await startApiServer(suite, {
    ...ordinary,
    controllers: ['serviceaccount-controller', 'resourcequota-controller'],
    args: [`--admission-control-config-file=${config}`],
  })
  const made = namespaces.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
  for (const items of [made, objects]) {
    const { code, stderr } = await server.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
    assert.equal(code, 0, stderr)
  }
  const operatorTemplate = async (values: Readonly<Record<string, unknown>> = {}) =>
    at(
      (await render(suite, values)).find(({ kind }) => kind === 'Deployment'),
      'spec.template',
    )
  // A quota refuses everything until it has been counted, and a namespace until it has its account.
  const settled = async (namespace: string, template: unknown, expected: RegExp) =>
    await eventually(async () => assert.match(await refusal(server, namespace, template), expected), slow)

  await suite.test('with default values, where requests and memory are counted', async () => {
    for (const template of [await operatorTemplate(), consumerTemplate({})])
      for (const namespace of ['open', 'counted', 'ranged']) await settled(namespace, template, /^$/)
  })

  await suite.test('a quota of CPU limits is satisfied by one value, or by a LimitRange', async () => {
    for (const template of [await operatorTemplate(), consumerTemplate({})])
      await settled('cpulimits', template, /must specify limits\.cpu/)
    const resources = { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '1', memory: '256Mi' } }
    for (const template of [await operatorTemplate({ resources }), consumerTemplate({ resources })])
      await settled('cpulimits', template, /^$/)
  })

  await suite.test('a critical class needs GKE’s quota; a class of one’s own does not', async () => {
    const critical = { priorityClassName: 'system-cluster-critical' }
    for (const template of [await operatorTemplate(critical), consumerTemplate(critical)]) {
      await settled('open', template, /insufficient quota to match these scopes/)
      await settled('critical', template, /^$/)
    }
    const own = { priorityClassName: 'platform' }
    for (const template of [await operatorTemplate(own), consumerTemplate(own)]) await settled('open', template, /^$/)
  })
})
