/** Clusters of one address family and of two: the Service of the metrics is admitted on each, and the operator listens on both. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { at, borrowCluster, startCluster, startOperator } from '../../operator/cluster.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { needsHelm, render } from '../chart/chart.ts'

const bothRanges = '--service-cluster-ip-range=10.0.0.0/24,fd00:10::/112'
const hasIpv6 = Object.values(networkInterfaces()).some((each) => each?.some(({ family }) => family === 'IPv6'))

test('the Service has the families that the cluster gives', { skip: needsHelm.skip || needsApiServer.skip }, async (t) => {
  for (const [args, expected] of [
    [[bothRanges], { '': 1, PreferDualStack: 2, RequireDualStack: 2 }],
    [[], { '': 1, PreferDualStack: 1, RequireDualStack: undefined }],
  ] as const) {
    const { server } = await startCluster(t, { args })
    for (const [policy, families] of Object.entries(expected)) {
      const manifests = await render(t, { 'metrics.service.ipFamilyPolicy': policy })
      const service = manifests.find(({ kind }) => kind === 'Service')
      const object = { ...service, metadata: { ...service?.metadata, namespace: 'default' } }
      const created = await server.kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], JSON.stringify(object))
      if (families === undefined) assert.match(created.stderr, /not configured for dual-stack|ipFamilyPolicy/)
      else assert.equal((at(JSON.parse(created.stdout), 'spec.ipFamilies') as unknown[]).length, families, policy)
    }
  }
})

test('an operator that is given a port alone listens on both', {
  skip: needsApiServer.skip || (!hasIpv6 && 'this machine has no IPv6'),
}, async (t) => {
  const cluster = await borrowCluster(t)
  const operator = await startOperator(t, cluster, { health: ':0', metrics: ':0' })
  const { health } = await operator.ports
  for (const host of ['127.0.0.1', '[::1]'])
    assert.equal((await fetch(`http://${host}:${health}/livez`, { headers: { connection: 'close' } })).status, 200, host)
})
