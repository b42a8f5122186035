import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../api/errors.ts'
import { retryAfterMs, statusFailure } from '../../operator/kubernetes/errors.ts'
import * as kinds from '../../operator/plan/kinds.ts'
import { consumerName } from '../../operator/plan/names.ts'
import type { FailedWrite } from '../../operator/plan/observed.ts'
import { isDue, type Setback, setbackOf, startedAnew, worthReporting } from '../../operator/setback.ts'
import { needsControllers } from '../support/apiserver.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { conditionOf, type Loose, minimalPipeline, startCluster, startOperator } from './cluster.ts'
import { startRefusingProxy } from './refusingproxy.ts'

const slow = { timeoutMs: 60_000 }
const everyMs = 5_000
const failedWrite = (error: FailedWrite['error']): FailedWrite => ({ subject: 'Deployment x', error })
const refused = failedWrite(failure('KubernetesRefused', { operation: 'the write', detail: 'quota' }))
const busy = failedWrite(failure('KubernetesBusy', { detail: 'webhook' }))
const taken = failedWrite(failure('NameTaken', { kind: 'Deployment', name: 'x', owner: 'somebody' }))

/** Waits of so many tries, each made when it is due. */
function waits(failures: readonly FailedWrite[], tries: number, from?: Setback): [number[], Setback | undefined] {
  let setback = from
  const found: number[] = []
  for (let n = 0; n < tries; n++) {
    const now = setback?.dueMs ?? 0
    setback = setbackOf(setback, { failures, fingerprint: 'b' }, now, everyMs, 0)
    found.push((setback.dueMs - now) / 1_000)
  }
  return [found, setback]
}

test('what is refused is tried again after 5 s, then more and more seldom, up to five minutes', () => {
  const [found] = waits([refused], 9)
  assert.deepEqual(found, [5, 10, 20, 40, 80, 160, 300, 300, 300])
})

test("another owner's object, which no watch covers, is looked for every thirty seconds at least", () => {
  assert.deepEqual(waits([taken], 5)[0], [5, 10, 20, 30, 30])
})

test('contention is tried again at once, and reported when it does not pass', () => {
  const [found, last] = waits([busy], 5)
  assert.deepEqual(found, [0, 0, 0, 0, 0])
  assert.ok(last)
  assert.deepEqual(worthReporting(last, 0), [])
  const [more, reported] = waits([busy], 3, last)
  assert.deepEqual(more, [5, 10, 20])
  assert.ok(reported)
  assert.deepEqual(worthReporting(reported, 0), [busy])
  assert.deepEqual(worthReporting(setbackOf(undefined, { failures: [busy, refused], fingerprint: 'b' }, 0, everyMs, 0), 0), [
    refused,
  ])
})

test('contention that lasts for five seconds is reported, however few the tries', () => {
  const first = setbackOf(undefined, { failures: [busy], fingerprint: 'b' }, 0, everyMs, 0)
  const second = setbackOf(first, { failures: [busy], fingerprint: 'b' }, 4_000, everyMs, 0)
  assert.deepEqual(worthReporting(second, 4_999), [])
  assert.deepEqual(worthReporting(second, 5_000), [busy])
})

test('something that changed starts it anew, five seconds after the last try; another fingerprint at once', () => {
  const [, last] = waits([refused], 6)
  assert.ok(last)
  const { triedMs } = last
  assert.equal(isDue(last, 'b', triedMs + 100_000), false)
  assert.equal(isDue(last, 'other', triedMs), true)
  const anew = startedAnew(last, triedMs + 1_000, everyMs)
  assert.deepEqual([anew.dueMs - triedMs, anew.retries], [5_000, 0])
  assert.deepEqual(startedAnew(last, triedMs + 9_000, everyMs).dueMs - triedMs, 9_000)
  assert.deepEqual(waits([refused], 2, anew)[0], [5, 10])
})

test('a Retry-After is heeded, of a header or of a Status, up to five minutes', () => {
  const of = (seconds: number, header?: number) =>
    statusFailure(429, { reason: 'TooManyRequests', details: { retryAfterSeconds: seconds } }, 'PATCH x', header)
  assert.deepEqual([retryAfterMs(of(7)), retryAfterMs(of(7, 9)), retryAfterMs(refused.error)], [7_000, 9_000, undefined])
  assert.deepEqual(waits([failedWrite(of(33))], 3)[0], [33, 33, 33])
  assert.deepEqual(waits([failedWrite(of(3_000))], 2)[0], [300, 300])
  // A timer of more than 24 days fires at once: each retry would follow the last one without a pause.
  assert.equal(retryAfterMs(of(2 ** 31 - 1)), 600_000)
  assert.equal(retryAfterMs(of(1, 1e300)), 600_000)
  assert.equal(retryAfterMs(of(-5)), 0)
  for (const odd of ['5', null, Number.NaN, {}]) assert.equal(retryAfterMs(of(odd as number)), undefined, String(odd))
})

test('a terminating namespace is distinguished from a missing right', () => {
  const body = { reason: 'Forbidden', message: 'unable to create', details: { causes: [{ reason: 'NamespaceTerminating' }] } }
  assert.equal(statusFailure(403, body, 'PATCH configmaps/x').code, 'NamespaceTerminating')
  assert.equal(statusFailure(403, { ...body, details: {} }, 'PATCH configmaps/x').code, 'KubernetesForbidden')
})

test('what a namespace refuses costs little, and its neighbour nothing', needsControllers, async (t) => {
  const controllers = ['resourcequota-controller']
  const [cluster, redis] = await Promise.all([startCluster(t, { controllers, namespaces: ['default', 'tight'] }), startRedis(t)])
  const proxy = await startRefusingProxy(t, cluster.server)
  const hard = { 'count/deployments.apps': '0', 'count/configmaps': '1' }
  await cluster.apply({ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'q', namespace: 'tight' }, spec: { hard } })
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', plural: 'resourcequotas' }
  await cluster.patch(quota, 'tight', 'q', { status: { hard, used: hard } }, 'status')
  const spec = (namespace: string, name: string) =>
    minimalPipeline(name, namespace, { redis: { url: redis.url }, source: { stream: `${namespace}-${name}`, group: 'g' } })
  const count = 10
  const names = Array.from({ length: count }, (_, n) => `p${n}`)
  const kubeconfig = await proxy.kubeconfig('operator')
  await startOperator(t, cluster, { kubeconfig, retryEveryMs: 5_000 })
  const reason = (namespace: string, name: string, expected: string) =>
    eventually(async () => {
      const found = conditionOf(await cluster.get<Loose>(kinds.pipelineType, namespace, name), 'Reconciled')
      assert.equal(found?.reason, expected, `${name}: ${found?.message}`)
    }, slow)
  await cluster.apply({ apiVersion: 'v1', kind: 'List', items: names.map((name) => spec('tight', name)) })
  for (const name of names) await reason('tight', name, 'ApplyFailed')
  const from = proxy.asked.length
  await new Promise((resolve) => setTimeout(resolve, 20_000))
  const asked = proxy.asked.slice(from).filter(({ path }) => /tight|accessreviews/.test(path) && !/watch=true|leases/.test(path))
  // Three tries at most, five and ten seconds apart, of some five requests.
  assert.ok(asked.length <= count * 15, `${asked.length} requests of ${count} pipelines in 20 s`)
  const reviews = proxy.asked.filter(({ path }) => path.includes('accessreviews'))
  // Each of six rights at most, once in five seconds.
  const spanMs = (reviews.at(-1)?.atMs ?? 0) - (reviews[0]?.atMs ?? 0)
  assert.ok(reviews.length <= 6 * (1 + Math.floor(spanMs / 5_000)), `${reviews.length} reviews in ${spanMs} ms`)

  // Where the API server asks for a pause there is one, of that object's pipeline alone.
  const path = `/apis/apps/v1/namespaces/default/deployments/${consumerName('slow')}`
  proxy.rule = (each) =>
    each.method === 'PATCH' && each.path.startsWith(path)
      ? { code: 429, reason: 'TooManyRequests', retryAfterSeconds: 8 }
      : undefined
  await cluster.apply(spec('default', 'slow'))
  await cluster.apply(spec('default', 'swift'))
  await reason('default', 'swift', 'ObjectsApplied')
  const tries = () => proxy.asked.filter((each) => each.method === 'PATCH' && each.path.startsWith(path)).map(({ atMs }) => atMs)
  const [first = 0, second = 0] = await eventually(() => (tries().length >= 2 ? tries() : null), slow)
  assert.ok(second - first >= 7_900, `again after ${second - first} ms`)
  proxy.rule = () => undefined
  await reason('default', 'slow', 'ObjectsApplied')

  // After a correction of the spec the operator tries again at once. After the removal of the quota alone it tries when the next
  // try is due, at the latest.
  await cluster.remove(quota, 'tight', 'q')
  const startedMs = performance.now()
  await cluster.patch(kinds.pipelineType, 'tight', 'p0', { spec: { source: { batchSize: 9 } } })
  await reason('tight', 'p0', 'ObjectsApplied')
  assert.ok(performance.now() - startedMs < 5_000)
})
