/** Namespaces and kinds fail alone: a gone, forbidden or uninstalled one, or one with answers of 500, stops no other. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName } from '../../../operator/plan/names.ts'
import { rbacRules } from '../../../operator/rights.ts'
import {
  conditionOf,
  type Loose,
  minimalPipeline,
  type RunningOperator,
  rules,
  startCluster,
  startOperator,
} from '../../operator/cluster.ts'
import { startRefusingProxy } from '../../operator/refusingproxy.ts'
import { needsControllers } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 60_000 }
const rbac = 'rbac.authorization.k8s.io/v1'
const controllers = ['namespace-controller', 'garbage-collector-controller']

async function readyz({ ports }: RunningOperator): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${(await ports).health}/readyz`, { headers: { connection: 'close' } })
  return `${response.status} ${await response.text()}`
}

async function metric({ ports }: RunningOperator, line: RegExp): Promise<void> {
  const url = `http://127.0.0.1:${(await ports).metrics}/metrics`
  assert.match(await (await fetch(url, { headers: { connection: 'close' } })).text(), line)
}

test('of several namespaces and kinds each fails alone and comes back by itself', needsControllers, async (suite) => {
  const namespaces = ['default', 'gone', 'dim', 'never', 'bare']
  const [cluster, redis] = await Promise.all([
    startCluster(suite, { controllers, namespaces: namespaces.filter((name) => name !== 'never') }),
    startRedis(suite),
  ])
  const proxy = await startRefusingProxy(suite, cluster.server)
  const kubeconfig = await proxy.kubeconfig('operator')
  const pipeline = (namespace: string, name = 'one') => cluster.get<Loose>(kinds.pipelineType, namespace, name)
  const make = async (namespace: string, name = 'one') =>
    cluster.apply(
      minimalPipeline(name, namespace, { redis: { url: redis.url }, source: { stream: `${namespace}-${name}`, group: 'g' } }),
    )
  const condition = (namespace: string, type: string, reason: string, name = 'one') =>
    eventually(async () => {
      const found = conditionOf(await pipeline(namespace, name), type)
      assert.equal(found?.reason, reason, `${namespace}/${name}: ${found?.message}`)
      return found
    }, slow)
  const role = (namespace: string, of: readonly object[]) =>
    cluster.apply({ apiVersion: rbac, kind: 'Role', metadata: { name: 'operator', namespace }, rules: of })
  const allBut = (resource: string) => rules.filter(({ resources }) => !resources.includes(resource))
  await make('default')
  await make('gone')
  await make('bare')

  // Never there, no right at all in one, no right on budgets in another, a kind answered with 500 in the third.
  await role('dim', [])
  await role('bare', allBut('poddisruptionbudgets'))
  proxy.rule = ({ path }) =>
    path.startsWith('/api/v1/namespaces/gone/serviceaccounts') ? { code: 500, reason: 'InternalError' } : undefined
  const options = { kubeconfig, namespaces: namespaces.join(','), retryEveryMs: 1_000 }
  const operator = await startOperator(suite, cluster, options)

  await suite.test('at a start the rest is served, and what is dark is reported', async () => {
    await condition('default', 'Reconciled', 'ObjectsApplied')
    const text = await eventually(async () => {
      const found = await readyz(operator)
      assert.match(found, /^200 ok\n/)
      assert.match(found, /^streampipelines, pods, .* in never cannot be watched: .*forbids the request/m)
      assert.match(found, /^streampipelines, .*deployments.* in dim cannot be watched/m)
      assert.match(found, /poddisruptionbudgets in bare cannot be watched/)
      assert.match(found, /serviceaccounts in gone cannot be watched: .*busy/)
      return found
    }, slow)
    assert.doesNotMatch(text, /in default/)
    await metric(operator, /streampipeline_operator_watch_up\{kind="Deployment",namespace="default"\} 1/)
    await metric(operator, /streampipeline_operator_watch_up\{kind="Deployment",namespace="dim"\} 0/)
  })

  await suite.test('a kind that is forbidden, or answered with 500, is reported by the pipelines there, which run', async () => {
    const reported = await condition('bare', 'Reconciled', 'Forbidden')
    assert.match(reported.message, /poddisruptionbudgets/i)
    assert.ok(await cluster.get(kinds.deploymentType, 'bare', consumerName('one')), 'its consumers are there all the same')
    await condition('bare', 'RedisReachable', 'RedisConnected')
    await role('bare', rules)
    await condition('bare', 'Reconciled', 'ObjectsApplied')
    await condition('gone', 'Reconciled', 'ApiServerBusy')
    proxy.rule = () => undefined
    await condition('gone', 'Reconciled', 'ObjectsApplied')
  })

  await suite.test('a namespace that is granted later is served then', async () => {
    await role('dim', rules)
    await make('dim')
    await condition('dim', 'Reconciled', 'ObjectsApplied')
  })

  await suite.test('Deployments that were never listed are left alone, whatever else is known', async () => {
    await operator.stop()
    await role('dim', allBut('deployments'))
    await cluster.permits('operator', { verb: 'list', group: 'apps', resource: 'deployments', namespace: 'dim' }, false)
    const again = await startOperator(suite, cluster, { ...options, podName: 'again' })
    await cluster.patch(kinds.pipelineType, 'dim', 'one', { spec: { source: { batchSize: 9 } } })
    const found = await condition('dim', 'Reconciled', 'Forbidden')
    assert.equal(found.status, 'Unknown')
    assert.match(found.message, /^deployments in dim cannot be watched: /)
    const config = await cluster.get<Loose>(kinds.configMapType, 'dim', consumerName('one'))
    assert.doesNotMatch(JSON.stringify(config), /batchSize\W+9\b/, 'nothing was changed')
    await role('dim', rules)
    await condition('dim', 'Reconciled', 'ObjectsApplied')
    await again.stop()
  })

  await suite.test('a namespace deleted under the operator, which restarts, and one that comes into being', async () => {
    const before = await startOperator(suite, cluster, { ...options, podName: 'before' })
    await eventually(() => before.lines.some((line) => line.includes('"leading"')), slow)
    await cluster.server.kubectl(['delete', 'namespace', 'gone', '--timeout=55s'])
    await make('default', 'two')
    await condition('default', 'Reconciled', 'ObjectsApplied', 'two')
    assert.match(await readyz(before), /^200 ok\n/)
    await before.stop()
    const after = await startOperator(suite, cluster, { ...options, podName: 'after' })
    await make('default', 'three')
    await condition('default', 'Reconciled', 'ObjectsApplied', 'three')
    await eventually(async () => assert.match(await readyz(after), /^200 ok\n(.*\n)*streampipelines.* in gone cannot/), slow)
    const subjects = [{ kind: 'User', name: 'operator', apiGroup: 'rbac.authorization.k8s.io' }]
    const roleRef = { kind: 'Role', name: 'operator', apiGroup: 'rbac.authorization.k8s.io' }
    for (const namespace of ['gone', 'never']) {
      await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
      await role(namespace, rules)
      await cluster.apply({ apiVersion: rbac, kind: 'RoleBinding', metadata: { name: 'operator', namespace }, subjects, roleRef })
      await make(namespace)
      await condition(namespace, 'Reconciled', 'ObjectsApplied')
    }
    await eventually(async () => assert.equal(await readyz(after), '200 ok\n'), slow)
    assert.equal(await after.stop(), 0)
  })

  await suite.test(
    'PodMonitors that are not installed keep no pipeline from being Ready, and are made once they are',
    async () => {
      const monitoring = rbacRules
        .filter(({ flag }) => flag === 'pod-monitor')
        .map(({ apiGroups, resources, verbs }) => ({ apiGroups, resources, verbs }))
      await role('default', [...rules, ...monitoring])
      const operator2 = await startOperator(suite, cluster, {
        ...options,
        namespaces: 'default',
        podName: 'scraping',
        podMonitor: true,
      })
      const found = await condition('default', 'Reconciled', 'PodMonitorMissing')
      assert.equal(found.status, 'True')
      assert.match(found.message, /podmonitors in default cannot be watched/)
      await cluster.apply(podMonitorCrd)
      await condition('default', 'Reconciled', 'ObjectsApplied')
      await eventually(async () => assert.ok(await cluster.get(kinds.podMonitorType, 'default', consumerName('one'))), slow)
      assert.equal(await operator2.stop(), 0)
    },
  )
})

const podMonitorCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'podmonitors.monitoring.coreos.com' },
  spec: {
    group: 'monitoring.coreos.com',
    scope: 'Namespaced',
    names: { kind: 'PodMonitor', plural: 'podmonitors', singular: 'podmonitor', listKind: 'PodMonitorList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}
