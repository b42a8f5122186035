/** Redis Cluster, three primaries: the queue beside the stream, and the queue in another slot. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { createWorker } from '../../../client/worker.ts'
import { addressOf, nodeAt, nodeOf } from '../../../redis/connect/node.ts'
import { slotOf } from '../../../redis/keys.ts'
import { observe } from '../../../sampling/observe.ts'
import { fileScope } from '../../redis/scope.ts'
import type { RedisServer } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { type RedisCluster, startCluster } from '../../topology/support/cluster.ts'
import { otherCluster } from '../../topology/support/otherioredis.ts'
import { numbers, openTopology, type Topology } from '../../topology/support/pipeline.ts'

let cluster: RedisCluster
const scope = fileScope()
before(async () => {
  cluster = await startCluster(scope)
})

/** As the operator sees it. */
async function isSeen({ pipeline }: Topology): Promise<void> {
  const { groupExists, undelivered, pending, consumers, queueWaiting, queuePaused } = await observe(cluster.client(), pipeline)
  const ready = consumers.map(({ heartbeat }) => heartbeat !== undefined)
  assert.deepEqual({ groupExists, undelivered, pending, ready }, { groupExists: true, undelivered: 0, pending: 0, ready: [true] })
  assert.deepEqual({ queueWaiting, queuePaused }, { queueWaiting: 200, queuePaused: false })
}

test('co-located: the atomic path, both modes of dispatch, and a worker', async (t) => {
  const redis = cluster.client()
  const topology = await openTopology(t, {
    spec: {
      redis: { cluster: { nodes: cluster.addresses } },
      source: { stream: 'near:jobs', block: '60s' },
      sink: { queue: 'near' },
    },
    redis,
  })
  const consumer = await topology.start()
  assert.equal((await consumer.logged('forward path chosen'))['path'], 'Atomic')
  assert.equal(topology.queueKey, 'bull{near:jobs}:near')
  await topology.add(200)
  await topology.settled(numbers(200))
  await isSeen(topology)

  for (const mode of ['Stream', 'Direct'] as const) {
    const dispatcher = createDispatcher<{ job_id: number }>({ pipeline: topology.document as never, mode, env: {} })
    t.after(() => dispatcher.close())
    await dispatcher.dispatch({ job_id: mode === 'Stream' ? 200 : 201 })
    await dispatcher.dispatch({ job_id: 7 })
  }
  await topology.settled(numbers(202))

  const executed: number[] = []
  const worker = createWorker<{ job_id: string }>({
    queue: 'near',
    prefix: topology.pipeline.sink.prefix,
    redis,
    concurrency: 20,
    execute: ({ job_id }) => void executed.push(Number(job_id)),
  })
  t.after(() => worker.close())
  await worker.start()
  await eventually(() => executed.length >= 202, { timeoutMs: 60_000 })
  assert.deepEqual(
    executed.toSorted((a, b) => a - b),
    numbers(202),
  )
  const begun = performance.now()
  const exit = await consumer.stop('SIGTERM', 40_000)
  assert.deepEqual(exit, { code: 0, signal: null })
  assert.ok(performance.now() - begun < 20_000, 'the blocked read was ended, not waited out')
})

test('the queue in another slot: the split path', async (t) => {
  const nodes = { cluster: { nodes: cluster.addresses } }
  const topology = await openTopology(t, {
    spec: { redis: nodes, source: { stream: 'far:jobs' }, sink: { queue: 'far', prefix: 'bull{other}', redis: nodes } },
    redis: cluster.client(),
  })
  assert.notEqual(cluster.nodeOf('far:jobs'), cluster.nodeOf('bull{other}:far'))
  const consumer = await topology.start()
  assert.equal((await consumer.logged('forward path chosen'))['path'], 'Split')
  await topology.add(200)
  await topology.settled(numbers(200))
  await isSeen(topology)
  await consumer.stop()
})

test('a slot moves to another node while entries come in', async (t) => {
  const topology = await openTopology(t, {
    spec: {
      redis: { cluster: { nodes: cluster.addresses } },
      source: { stream: '{moving}:jobs', block: '60s' },
      sink: { queue: 'moving' },
    },
    redis: cluster.client(),
  })
  const consumer = await topology.start()
  await topology.add(100)
  const adding = topology.add(400, 100)
  const source = cluster.nodeOf('{moving}')
  const target = cluster.nodes.find((node) => node !== source) ?? source
  await moveSlot(cluster, '{moving}', source, target)
  await adding
  await topology.settled(numbers(500))
  assert.equal(await target.client().exists('{moving}:jobs'), 1, 'it has moved')
  await topology.add(1, 500)
  await topology.settled(numbers(501))
  const begun = performance.now()
  assert.deepEqual(await consumer.stop('SIGTERM', 40_000), { code: 0, signal: null })
  assert.ok(performance.now() - begun < 20_000)
})

test('a node that is killed and comes back: reported, waited for, nothing lost or twice', async (t) => {
  const topology = await openTopology(t, {
    spec: { redis: { cluster: { nodes: cluster.addresses } }, source: { stream: 'fallen:jobs' }, sink: { queue: 'fallen' } },
    redis: cluster.client(),
  })
  const consumer = await topology.start()
  await topology.add(100)
  await topology.settled(numbers(100))
  const node = cluster.nodeOf('fallen:jobs')
  await node.kill()
  await eventually(() => consumer.log().some(({ code }) => code === 'RedisUnreachable' || code === 'RedisNotReady'), {
    timeoutMs: 30_000,
  })
  await eventually(async () => (await consumer.get('/readyz')).status === 503)
  assert.equal((await consumer.get('/livez')).status, 200)
  await node.start()
  await cluster.ready()
  await topology.add(100, 100)
  await topology.settled(numbers(200))
  assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
})

test('the node of a key is found again when its connection has ended and no command of the slot has been sent since', async () => {
  const client = cluster.client()
  await client.set('fallen:jobs:probe', '1')
  const before = await nodeOf(client, 'fallen:jobs')
  before.disconnect()
  await eventually(() => nodeAt(client, addressOf(before)) === undefined)
  const after = await nodeOf(client, 'fallen:jobs')
  assert.notEqual(after, before)
  assert.equal(addressOf(after), addressOf(before))
  assert.equal(await after.ping(), 'PONG')
})

test('a Cluster of the application’s own copy of ioredis is asked at the node of the key', async (t) => {
  const lent = otherCluster(t, cluster)
  for (const key of ['bull{other}:q:', 'bull{another}:q:', '{near:jobs}:x']) {
    await lent.set(key, '1')
    const node = await nodeOf(lent, key)
    assert.ok(!Object.is(node, lent), 'the whole Cluster is taken for one node')
    assert.equal(addressOf(node), `127.0.0.1:${cluster.nodeOf(key).port}`, key)
    assert.equal(nodeAt(lent, addressOf(node)), node)
  }
})

/** As an administrator does it: both sides learn of it, keys go one by one, then all nodes learn the new owner. */
async function moveSlot({ nodes }: RedisCluster, key: string, source: RedisServer, target: RedisServer) {
  const slot = String(slotOf(key))
  const [from, to] = [source.client(), target.client()]
  const [fromId, toId] = await Promise.all([from, to].map(async (client) => String(await client.call('CLUSTER', 'MYID'))))
  await to.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId ?? '')
  await from.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId ?? '')
  for (;;) {
    const keys = (await from.call('CLUSTER', 'GETKEYSINSLOT', slot, '10')) as string[]
    if (keys.length === 0) break
    await from.call('MIGRATE', '127.0.0.1', String(target.port), '', '0', '5000', 'KEYS', ...keys)
  }
  await to.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId ?? '')
  for (const node of nodes) await node.client().call('CLUSTER', 'SETSLOT', slot, 'NODE', toId ?? '')
}
