/** The core of these tests on the servers that STREAMPIPELINE_REDIS_SERVERS names: a newer Redis, Valkey. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aclRules } from '../../../redis/preflight/permissions.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import { startCluster } from '../../topology/support/cluster.ts'
import { numbers, openTopology, secret } from '../../topology/support/pipeline.ts'
import { otherServers } from '../../topology/support/servers.ts'

if (otherServers.length === 0) {
  const skip = 'STREAMPIPELINE_REDIS_SERVERS names no server beside the default one'
  test('a newer Redis, Valkey', { skip }, () => undefined)
}

for (const binary of otherServers) {
  test(`${binary}: a consumer with the least rights`, async (t) => {
    const server = await startRedis(t, { binary })
    const redis = server.client()
    const access = { usernameFrom: secret('redis', 'username'), passwordFrom: secret('redis', 'password') }
    const spec = { redis: { url: server.url, ...access } }
    await redis.call('ACL', 'SETUSER', 'consumer', 'on', '>least', 'resetkeys', '-@all', ...aclRules(pipelineWith(spec)).stream)
    const refs = { 'secret/redis/username': 'consumer', 'secret/redis/password': 'least' }
    const topology = await openTopology(t, { spec, refs, redis })
    await topology.add(100)
    const consumer = await topology.start()
    assert.equal((await consumer.logged('forward path chosen'))['path'], 'Atomic')
    await topology.settled(numbers(100))
    assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
    const log = (await redis.call('ACL', 'LOG')) as unknown[][]
    const refused = log.map((entry) => String(entry[entry.indexOf('object') + 1]))
    // The client library introduces itself, and goes on where it may not.
    assert.deepEqual(
      refused.filter((command) => command !== 'client|setinfo'),
      [],
    )
  })

  test(`${binary}: a cluster`, async (t) => {
    const cluster = await startCluster(t, { binary })
    const topology = await openTopology(t, {
      spec: { redis: { cluster: { nodes: cluster.addresses } } },
      redis: cluster.client(),
    })
    await topology.add(100)
    const consumer = await topology.start()
    assert.equal((await consumer.logged('forward path chosen'))['path'], 'Atomic')
    await topology.settled(numbers(100))
    assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
  })
}
