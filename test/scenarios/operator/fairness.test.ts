/** No namespace holds up another: turns in the queue, places in the transport, questions about pods. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as eventLoop } from 'node:timers/promises'
import fc from 'fast-check'
import { createController, shares, workers } from '../../../operator/kubernetes/controller.ts'
import { createFairTransport } from '../../../operator/kubernetes/fairtransport.ts'
import type { Priority } from '../../../operator/kubernetes/keystates.ts'
import { createQueue } from '../../../operator/kubernetes/queue.ts'
import type { Transport } from '../../../operator/kubernetes/transport.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { nameLabel } from '../../../operator/plan/names.ts'
import { keySpace } from '../../../redis/keys.ts'
import { formatIdentity } from '../../../redis/stream/identity.ts'
import { borrowCluster, conditionOf, type Loose, minimalPipeline, startOperator } from '../../operator/cluster.ts'
import { startRefusingProxy } from '../../operator/refusingproxy.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { seed } from '../../support/seed.ts'
import { createTestClock } from '../../support/testclock.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 60_000 }

test('namespaces take turns: a newcomer waits for one key of each other, not for all', async () => {
  const queue = createQueue(createTestClock())
  for (let n = 0; n < 1_000; n++) queue.add(`crowd/p${n}`)
  queue.add('farm/a')
  queue.add('farm/b')
  queue.add('mill/a')
  const order: (string | undefined)[] = []
  for (let n = 0; n < 6; n++) order.push((await queue.take())?.key)
  assert.deepEqual(order, ['crowd/p0', 'farm/a', 'mill/a', 'crowd/p1', 'farm/b', 'crowd/p2'])
})

test('whatever waits, in however many namespaces and with whatever priority, each key is served once', async () => {
  const adds = fc.array(
    fc.record({
      namespace: fc.constantFrom('a', 'b', 'c', 'd'),
      name: fc.nat(30),
      priority: fc.constantFrom<Priority>('Changed', 'Observed', 'Resynced'),
    }),
    { minLength: 1, maxLength: 200 },
  )
  const property = fc.asyncProperty(adds, async (all) => {
    const queue = createQueue(createTestClock())
    for (const { namespace, name, priority } of all) queue.add(`${namespace}/${name}`, priority)
    const waiting = queue.depth
    const served: string[] = []
    while (queue.depth > 0) {
      const key = (await queue.take())?.key ?? ''
      served.push(key)
      queue.done(key)
    }
    assert.equal(new Set(served).size, waiting, 'each once')
  })
  await fc.assert(property, { numRuns: 200, seed })
})

test('namespaces of which every reconcile hangs leave workers to the others', async () => {
  const queue = createQueue(createTestClock(), {}, shares)
  const stop = new AbortController()
  const released = Promise.withResolvers<void>()
  const begun = new Map<string, number>()
  const controller = createController(
    queue,
    async (key) => {
      const [namespace = ''] = key.split('/')
      begun.set(namespace, (begun.get(namespace) ?? 0) + 1)
      if (namespace.startsWith('hung')) await released.promise
      return {}
    },
    { clock: createTestClock(), workers },
  )
  const running = controller.run(stop.signal, new AbortController().signal)
  queue.add('farm/first')
  for (const namespace of ['hung1', 'hung2', 'hung3']) for (let n = 0; n < 500; n++) queue.add(`${namespace}/p${n}`)
  for (let n = 0; n < 100; n++) queue.add(`farm/p${n}`, n % 2 === 0 ? 'Changed' : 'Resynced')
  for (let turn = 0; turn < 300; turn++) await eventLoop()
  assert.equal(begun.get('farm'), 101)
  assert.deepEqual(
    ['hung1', 'hung2', 'hung3'].map((each) => begun.get(each)),
    [5, 5, 5],
  )
  released.resolve()
  for (let turn = 0; turn < 2_000; turn++) await eventLoop()
  assert.equal(begun.get('hung2'), 500)
  stop.abort()
  await running
})

test('a namespace has only a limited number of requests under way, and the rest wait in line; Leases never wait', async () => {
  const asked: string[] = []
  const answer = Promise.withResolvers<void>()
  const inner: Transport = {
    async request({ path }) {
      asked.push(path)
      if (path.includes('/crowd/') && !path.includes('leases')) await answer.promise
      return path
    },
    async *watch() {},
    close: async () => {},
  }
  const transport = createFairTransport(inner, 4)
  const get = (path: string, signal?: AbortSignal) =>
    transport.request({ method: 'GET', path, ...(signal === undefined ? {} : { signal }) })
  const crowd = Array.from({ length: 100 }, (_, n) => get(`/api/v1/namespaces/crowd/pods/p${n}`))
  const given = new AbortController()
  const waiting = get('/apis/apps/v1/namespaces/crowd/deployments/x', given.signal)
  await eventLoop()
  assert.equal(asked.length, 4)
  await get('/apis/coordination.k8s.io/v1/namespaces/crowd/leases/l')
  await get('/api/v1/namespaces/farm/pods/p')
  await get('/apis/streampipeline.dev/v1alpha1/streampipelines')
  assert.equal(asked.length, 7)
  given.abort(new Error('given up'))
  await assert.rejects(waiting, /given up/)
  answer.resolve()
  assert.equal((await Promise.all(crowd)).length, 100)
  assert.ok(!asked.some((path) => path.endsWith('/x')))
})

test(
  'hundreds of invented consumers cost few requests and no neighbour anything, and are gone in the end',
  needsApiServer,
  async (t) => {
    const [cluster, redis] = await Promise.all([borrowCluster(t, { namespaces: ['default', 'crowd'] }), startRedis(t)])
    const proxy = await startRefusingProxy(t, cluster.server)
    const client = redis.client()
    const source = (stream: string) => ({ redis: { url: redis.url }, source: { stream, group: 'g' } })
    await cluster.apply(minimalPipeline('loud', 'crowd', source('loud')))
    const owner = (await cluster.get(kinds.pipelineType, 'crowd', 'loud'))?.metadata.uid ?? ''
    const { consumers } = keySpace('loud', 'g')
    await client.xgroup('CREATE', 'loud', 'g', '0', 'MKSTREAM')
    // One of them is there: its pod began a moment ago.
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'loud-alive', namespace: 'crowd' },
      spec: { automountServiceAccountToken: false, containers: [{ name: 'consumer', image: 'consumer' }] },
    }
    await cluster.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'crowd' } })
    await cluster.apply(pod)
    const alive = (await cluster.get(kinds.podType, 'crowd', 'loud-alive'))?.metadata
    assert.equal(alive?.labels?.[nameLabel], undefined, 'which the caches do not show')
    await client.hset(consumers, 'loud-alive', formatIdentity({ owner, life: alive?.uid ?? '' }))
    const count = 600
    for (let n = 0; n < count; n += 200) {
      const batch = client.pipeline()
      for (let i = n; i < n + 200; i++) batch.hset(consumers, `invented-${i}`, formatIdentity({ owner, life: `life-${i}` }))
      await batch.exec()
    }
    const kubeconfig = await proxy.kubeconfig('operator')
    const startedMs = performance.now()
    const operator = await startOperator(t, cluster, { kubeconfig, observeEveryMs: 1_000 })
    await cluster.apply(minimalPipeline('calm', 'default', source('calm')))
    await eventually(async () => {
      const found = conditionOf(await cluster.get<Loose>(kinds.pipelineType, 'default', 'calm'), 'RedisReachable')
      assert.equal(found?.reason, 'RedisConnected')
    }, slow)
    const tookMs = performance.now() - startedMs
    await eventually(async () => assert.deepEqual(await client.hkeys(consumers), ['loud-alive']), {
      timeoutMs: 90_000,
      intervalMs: 500,
    })
    const seconds = (performance.now() - startedMs) / 1_000
    const single = proxy.asked.filter(({ path }) => /\/namespaces\/crowd\/pods\/./.test(path)).length
    const lists = proxy.asked.filter(({ path }) => /\/namespaces\/crowd\/pods\?limit=500/.test(path)).length
    t.diagnostic(`${single} reads and ${lists} lists in ${seconds.toFixed(0)} s; the neighbour after ${tookMs.toFixed(0)} ms`)
    assert.equal(await operator.stop(), 0)
    assert.ok(single <= 25 + seconds / 2, `${single} reads of pods`)
    assert.ok(lists <= 2 + seconds / 5, `${lists} lists of pods`)
  },
)
