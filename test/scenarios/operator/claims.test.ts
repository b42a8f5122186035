/** Two pipelines that name one stream and group, on an API server and a Redis: the older holds it until it is deleted. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as kinds from '../../../operator/plan/kinds.ts'
import { keySpace } from '../../../redis/keys.ts'
import { borrowCluster, conditionOf, type Loose, minimalPipeline, startOperator } from '../../operator/cluster.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 90_000 }

test(
  'the younger of two pipelines on one stream is refused by name; when the owner is deleted it takes over',
  needsApiServer,
  async (t) => {
    const [cluster, redis] = await Promise.all([borrowCluster(t, { namespaces: ['default', 'stranger'] }), startRedis(t)])
    const client = redis.client()
    const keys = keySpace('shared:jobs', 'shared')
    await startOperator(t, cluster)
    const shared = { redis: { url: redis.url }, source: { stream: 'shared:jobs', group: 'shared' } }
    const reachable = async (namespace: string, name: string) => {
      const found = conditionOf(await cluster.get<Loose>(kinds.pipelineType, namespace, name), 'RedisReachable')
      return `${found?.status} ${found?.reason} ${found?.message ?? ''}`
    }
    const holder = async () => /^\d+ (\S+)/.exec((await client.hget(keys.stats, 'owner')) ?? '')?.[1]
    const uid = async (namespace: string, name: string) =>
      (await cluster.get<Loose>(kinds.pipelineType, namespace, name))?.metadata.uid

    await cluster.apply(minimalPipeline('owner', 'default', shared))
    await eventually(async () => assert.match(await reachable('default', 'owner'), /^True RedisConnected/), slow)
    assert.equal(await holder(), await uid('default', 'owner'))
    const marked: string[] = []
    const watching = new AbortController()
    const watch = (async () => {
      while (!watching.signal.aborted) {
        const found = await reachable('default', 'owner')
        if (!found.startsWith('True RedisConnected')) marked.push(found)
        await sleep(50)
      }
    })()
    // It names the other mode, which must not reach the owner's producers.
    await cluster.apply(minimalPipeline('late', 'stranger', { ...shared, mode: 'Direct', scaling: { minReplicas: 0 } }))
    await eventually(async () => {
      const found = await reachable('stranger', 'late')
      assert.match(found, /^False StreamClaimed .*group shared of stream shared:jobs belongs to the pipeline default\/owner/)
      assert.match(found, /Give this pipeline a group of its own in spec\.source\.group/)
    }, slow)
    await sleep(4_000)
    assert.equal(await client.get(keys.mode), 'Stream')
    assert.match(await reachable('stranger', 'late'), /^False StreamClaimed/)
    assert.equal(await holder(), await uid('default', 'owner'))
    watching.abort()
    await watch
    assert.deepEqual(marked, [])

    await cluster.remove(kinds.pipelineType, 'default', 'owner')
    await eventually(async () => {
      assert.match(await reachable('stranger', 'late'), /^True RedisConnected/)
      assert.equal(await holder(), await uid('stranger', 'late'))
      assert.equal(await client.get(keys.mode), 'Direct')
    }, slow)

    // A new pipeline under the former owner's name is a different pipeline. It does not get the claim back.
    await cluster.apply(minimalPipeline('owner', 'default', shared))
    await eventually(
      async () =>
        assert.match(await reachable('default', 'owner'), /^False StreamClaimed .*belongs to the pipeline stranger\/late/),
      slow,
    )
    assert.equal(await client.get(keys.mode), 'Direct')
  },
)
