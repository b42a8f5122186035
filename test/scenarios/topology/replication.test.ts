/** The queue in a cluster whose primaries have replicas: the stream is acknowledged only once a replica has the job. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createConfirmation } from '../../../redis/settle/forwarders/replication.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { startCluster } from '../../topology/support/cluster.ts'
import { otherCluster } from '../../topology/support/otherioredis.ts'
import { numbers, openTopology } from '../../topology/support/pipeline.ts'

test('a replica that lags keeps entries pending; a failover of the queue loses and repeats nothing', async (t) => {
  const stream = await startRedis(t)
  const cluster = await startCluster(t, { replicas: true })
  const topology = await openTopology(t, {
    spec: { redis: { url: stream.url }, sink: { queue: 'q', redis: { cluster: { nodes: cluster.addresses } } } },
    redis: stream.client(),
    queueRedis: cluster.client(),
  })
  const consumer = await topology.start()
  assert.equal((await consumer.logged('forward path chosen'))['path'], 'Split')
  await topology.add(50)
  await topology.settled(numbers(50))

  const replica = cluster.replicaOf(topology.queueKey)
  await replica.kill('SIGSTOP')
  await topology.add(20, 50)
  await eventually(() => consumer.log().some(({ msg }) => /no replica confirmed/.test(msg)), { timeoutMs: 30_000 })
  assert.ok((await topology.pending()).length > 0, 'not acknowledged')
  await replica.kill('SIGCONT')
  await topology.settled(numbers(70))

  await cluster.nodeOf(topology.queueKey).kill()
  await topology.add(50, 70)
  // The promoted primary has no replica: its batches wait a minute for one that was seen before.
  await topology.settled(numbers(120), 150_000)
  assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
})

test('through a Cluster of another copy of ioredis, too, the replica of the key’s node must confirm', async (t) => {
  const cluster = await startCluster(t, { replicas: true })
  const lent = otherCluster(t, cluster)
  const key = 'bull{other}:q:'
  await lent.set(key, '1')
  const { confirm } = createConfirmation(lent, key)
  await confirm()
  await cluster.replicaOf(key).kill('SIGSTOP')
  await lent.set(key, '2')
  // Sent to any of the nodes, some of these would be confirmed by replicas that have nothing to do with the key.
  for (let tries = 0; tries < 3; tries++) await assert.rejects(confirm(), { code: 'RedisNotReady' })
})
