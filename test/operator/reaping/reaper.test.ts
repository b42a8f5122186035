/** The entries of a vanished pod's consumer: on a real API server, with pods made by hand, and a real Redis. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { resourcePath } from '../../../operator/kubernetes/objects.ts'
import * as kinds from '../../../operator/plan/kinds.ts'
import { nameLabel } from '../../../operator/plan/names.ts'
import { keySpace } from '../../../redis/keys.ts'
import { formatIdentity } from '../../../redis/stream/identity.ts'
import { needsApiServer } from '../../support/apiserver.ts'
import { startCli } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { shortest } from '../../support/shortest.ts'
import { eventually } from '../../support/wait.ts'
import { at, borrowCluster, conditionOf, type Loose, minimalPipeline, startOperator } from '../cluster.ts'
import { tryReplacements } from '../replacements.ts'

const slow = { timeoutMs: 60_000 }
const minIdleMs = 60_000

test('vanished pods, on an API server', needsApiServer, async (suite) => {
  const [cluster, redis] = await Promise.all([borrowCluster(suite, { namespaces: [] }), startRedis(suite)])
  const client = redis.client()
  // The controller that makes it does not run here, and pods are refused without it.
  await cluster.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } })

  /** A pod as from a kubelet, bound to a node, so that a deletion waits for the end of its process. */
  const runningPod = async (pipeline: string, name: string) => {
    await cluster.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', labels: { [nameLabel]: pipeline } },
      spec: { nodeName: 'node-1', automountServiceAccountToken: false, containers: [{ name: 'consumer', image: 'consumer' }] },
    })
    await cluster.patch(kinds.podType, 'default', name, { status: { phase: 'Running' } }, 'status')
    const pod = await cluster.get(kinds.podType, 'default', name)
    return pod?.metadata.uid ?? ''
  }
  const kubectl = async (...args: string[]) => {
    const { code, stderr } = await cluster.server.kubectl(args)
    assert.equal(code, 0, stderr)
  }
  /** Removes the pod, as its kubelet does after the process has ended, or an administrator who gives up on the node. */
  const removePod = async (name: string) => {
    const path = resourcePath(kinds.podType, 'default', name)
    await cluster.transport.request({ method: 'DELETE', path, body: { gracePeriodSeconds: 0 } })
  }

  const open = async (name: string) => {
    await cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url }, reclaim: { interval: '1h' } }))
    const [stream, group] = [`${name}:jobs`, name]
    const keys = keySpace(stream, group)
    const found = () => cluster.get<Loose>(kinds.pipelineType, 'default', name)
    const owner = (await found())?.metadata.uid ?? ''
    await client.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
    return {
      ...{ stream, group, keys, owner, found },
      /** As a consumer would: registered, beating, and given some entries. */
      async take(consumer: string, uid: string, count: number, path = 'Atomic') {
        const counts = { inFlight: count, serviceMs: 1, forwarded: 0, duplicates: 0, dead: 0, reclaimed: 0 }
        const batch = client.multi()
        for (let i = 0; i < count; i++) batch.xadd(stream, '*', 'n', `${consumer}-${i}`)
        batch.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', String(count), 'STREAMS', stream, '>')
        batch.hset(keys.consumers, consumer, uid)
        const heartbeat = JSON.stringify({ uid, at: Date.now(), state: 'Running', path, ...counts })
        await batch.set(keys.consumer(consumer), heartbeat, 'PX', 600_000).exec()
      },
      life: (life: string) => formatIdentity({ owner, life }),
      claimable: async () =>
        ((await client.call('XPENDING', stream, group, 'IDLE', String(minIdleMs), '-', '+', '1000')) as unknown[]).length,
      claimAll: async () => await client.xautoclaim(stream, group, 'claimer', minIdleMs, '0', 'COUNT', 1_000, 'JUSTID'),
      names: async () =>
        ((await client.xinfo('CONSUMERS', stream, group)) as string[][]).map(([, each]) => String(each)).toSorted(),
      registered: async () => (await client.hkeys(keys.consumers)).toSorted(),
      reported: async () =>
        (at(await found(), 'status.consumers') ?? {}) as { active?: number; vanished?: number; unhealthy?: string[] },
      message: async () => conditionOf(await found(), 'ConsumersAvailable')?.message ?? '',
    }
  }

  const consume = async (t: TestContext, name: string, pod: string, podUid: string, uid: string) => {
    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-reaping-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const resource = minimalPipeline(name, 'default', {
      redis: { url: redis.url },
      source: { stream: `${name}:jobs`, group: name, block: '30s', inFlightBatches: 1 },
      reclaim: { interval: '1h' },
    })
    const file = join(folder, 'pipeline.json')
    await writeFile(file, JSON.stringify({ ...resource, metadata: { ...resource.metadata, uid } }))
    const args = ['consume', '--config', file, '--listen', '127.0.0.1:0']
    return await startCli(t, args, { env: { POD_NAME: pod, POD_UID: podUid } })
  }

  await suite.test(
    'a terminating pod keeps its entries; once it is gone, other consumers work on them within two seconds',
    async (t) => {
      // Looks so rarely that only the event can be what wakes it.
      const operator = await startOperator(t, cluster, { observeEveryMs: 3_600_000 })
      const { take, life, claimable, keys, registered, stream } = await open('quick')
      const alive = await runningPod('quick', 'alive')
      await consume(t, 'quick', 'alive', alive, life('').slice(0, -1))
      await eventually(async () => assert.equal(await client.hget(keys.consumers, 'alive'), life(alive)), slow)
      const looks = async () => {
        const { metrics } = await operator.ports
        const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`, { headers: { connection: 'close' } })).text()
        return Number(/streampipeline_observe_duration_seconds_count (\d+)/.exec(text)?.[1] ?? 0)
      }
      await eventually(async () => (await looks()) > 0, slow)
      const tookMs = await shortest(2_000, async (nth) => {
        const doomed = `doomed-${nth}`
        await take(doomed, life(await runningPod('quick', doomed)), 50)

        await kubectl('delete', 'pod', doomed, '--wait=false')
        // A change of the spec makes it look: a terminating pod may still work.
        const before = await looks()
        await cluster.patch(kinds.pipelineType, 'default', 'quick', { spec: { scaling: { maxReplicas: 7 + nth } } })
        await eventually(async () => (await looks()) > before, slow)
        assert.equal(await claimable(), 0)
        const names = await registered()
        assert.ok(names.includes('alive') && names.includes(doomed), names.join(', '))

        const begun = performance.now()
        await removePod(doomed)
        await eventually(async () => assert.equal(await client.llen('bull:quick:wait'), 50 * (nth + 1)), slow)
        const workMs = performance.now() - begun
        await eventually(async () => assert.equal(((await client.xpending(stream, 'quick')) as unknown[])[0], 0))
        return workMs
      })
      assert.ok(tookMs < 2_000, `took ${tookMs} ms`)
      t.diagnostic(`in work ${tookMs} ms after the pod was deleted`)
    },
  )

  await suite.test(
    'a consumer that vanished unseen is found and reported, until its name goes with the last of its entries',
    async (t) => {
      const { take, life, claimable, claimAll, names, registered, reported, keys } = await open('level')
      const pod = await runningPod('level', 'failed')
      await cluster.patch(kinds.podType, 'default', 'failed', { status: { phase: 'Failed' } }, 'status')
      await take('failed', life(pod), 3)
      await take('long-gone', life('deleted-before'), 120)
      await take('empty-handed', life('another'), 0)
      await startOperator(t, cluster, { numbersEveryMs: 200 })
      await eventually(async () => assert.equal(await claimable(), 123), slow)
      assert.equal(await client.get(keys.nudge), '2')
      await eventually(async () => assert.deepEqual(await registered(), ['failed', 'long-gone']), slow)
      await eventually(async () => {
        const { active, vanished, unhealthy } = await reported()
        assert.deepEqual([active, vanished], [0, 2])
        assert.match(unhealthy?.[0] ?? '', /^long-gone {2}Vanished {2}pending 120 {2}oldest \d+s {2}pod gone, entries released$/)
      }, slow)
      const { stdout } = await cluster.server.kubectl(['describe', 'streampipeline', 'level'])
      assert.match(stdout, /Vanished: +2/)

      await claimAll()
      await eventually(async () => assert.deepEqual([await names(), await registered()], [['claimer'], []]), slow)
      await eventually(async () => assert.deepEqual(await reported(), { active: 0, stale: 0, starting: 0, vanished: 0 }), slow)
    },
  )

  await suite.test('a zombie is reaped again; off the atomic path it is awaited until it has fallen silent', async (t) => {
    const { take, life, claimable, claimAll, registered, reported, keys, names } = await open('zombie')
    await startOperator(t, cluster, { numbersEveryMs: 200 })
    const pod = await runningPod('zombie', 'undead')
    await take('undead', life(pod), 2, 'Split')
    await eventually(async () => assert.equal((await reported()).active, 1), slow)
    await removePod('undead')
    await eventually(async () => {
      const [line = ''] = (await reported()).unhealthy ?? []
      assert.match(
        line,
        /^undead {2}Vanished {2}pending 2 {2}pod deleted \d\d:\d\d:\d\dZ, entries wait until its heartbeat expires$/,
      )
    }, slow)
    assert.equal(await claimable(), 0)
    await client.del(keys.consumer('undead'))
    await eventually(async () => assert.equal(await claimable(), 2), slow)
    await claimAll()
    await eventually(async () => assert.deepEqual(await registered(), []), slow)

    await take('undead', life(pod), 4)
    await eventually(async () => assert.equal(await claimable(), 4), slow)
    await claimAll()
    await eventually(async () => assert.deepEqual([await names(), await registered()], [['claimer'], []]), slow)
  })

  await suite.test('foreign consumers in the group are left alone and reported', async (t) => {
    const { take, life, claimable, registered, message, names } = await open('shared')
    await startOperator(t, cluster, { numbersEveryMs: 200 })
    await client.xgroup('CREATECONSUMER', 'shared:jobs', 'shared', 'cron')
    await take('laptop-1', 'local-laptop-1-2/3', 2)
    await take('neighbour', 'another-pipeline/a-pod', 2)
    await take('ours', life('gone'), 1)
    await eventually(async () => assert.equal(await claimable(), 1), slow)
    await eventually(
      async () => assert.match(await message(), /shared with consumers that .*\(cron, laptop-1, neighbour\)/),
      slow,
    )
    assert.equal(await claimable(), 1)
    assert.deepEqual(await registered(), ['laptop-1', 'neighbour', 'ours'])
    assert.deepEqual(await names(), ['cron', 'laptop-1', 'neighbour', 'ours'])
  })

  await suite.test('a hundred replacements leave no name behind; the living and strangers are left alone', async (t) => {
    await startOperator(t, cluster)
    const result = await tryReplacements(cluster, client, { name: 'replaced', redisUrl: redis.url, replacements: 100 })
    assert.deepEqual([result.replaced, result.settled], [100, 200])
    t.diagnostic(`${result.slowestWaveMs} ms for the slower wave`)
  })
})
