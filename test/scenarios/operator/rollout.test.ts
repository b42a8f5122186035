/**
 * Ready on a real API server with the Deployment controller: never of a spec that is not at work, always again when it is mended.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import * as kinds from '../../../operator/plan/kinds.ts'
import { consumerName, nameLabel } from '../../../operator/plan/names.ts'
import { at, conditionOf, type Loose, minimalPipeline, startCluster, startOperator } from '../../operator/cluster.ts'
import { needsControllers } from '../../support/apiserver.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const slow = { timeoutMs: 60_000, intervalMs: 100 }
const name = 'rolling'

test('Ready follows the rollout and the Redis of the spec', needsControllers, async (suite) => {
  const [cluster, redis] = await Promise.all([startCluster(suite, { controllers: true }), startRedis(suite)])
  await startOperator(suite, cluster)
  const pipeline = () => cluster.get<Loose>(kinds.pipelineType, 'default', name)
  const becomes = (type: string, status: string, reason: string) =>
    eventually(async () => {
      const found = await pipeline()
      const condition = conditionOf(found, type)
      assert.ok(condition)
      assert.deepEqual([condition.status, condition.reason], [status, reason], condition.message)
      assert.equal(at(condition, 'observedGeneration'), found?.metadata.generation)
      return condition
    }, slow)
  /** Checks every state that a watcher sees before `until` holds: none is Ready of the new spec. */
  const neverReady = async (until: () => Promise<unknown>) => {
    const before = (await pipeline())?.metadata.generation
    let ended = false
    const watching = (async () => {
      while (!ended) {
        const found = await pipeline()
        const ready = conditionOf(found, 'Ready')
        const of = at(ready, 'observedGeneration')
        const isOfThis = of === found?.metadata.generation && of !== before
        assert.ok(!(isOfThis && ready?.status === 'True'), 'Ready before it was at work')
      }
    })()
    try {
      await Promise.race([until(), watching])
    } finally {
      ended = true
      await watching
    }
  }
  const wait = () => cluster.server.kubectl(['wait', '--for=condition=Ready', `streampipeline/${name}`, '--timeout=1s'])
  const pods = async () =>
    (await cluster.list(kinds.podType, 'default')).filter(({ metadata }) => metadata.labels?.[nameLabel] === name)
  const say = (pod: Loose, status: object) =>
    cluster.patch(kinds.podType, 'default', pod.metadata.name ?? '', { status }, 'status')
  const time = () => new Date().toISOString().replace(/\.\d+Z/, 'Z')
  /** Until all are of the newest template. */
  const makeReady = async (until: () => Promise<unknown>) => {
    let ended = false
    const making = (async () => {
      while (!ended) {
        for (const pod of await pods())
          await say(pod, {
            phase: 'Running',
            containerStatuses: null,
            conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time() }],
          }).catch(() => undefined)
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    })()
    await until().finally(() => {
      ended = true
    })
    await making
  }

  await suite.test('it becomes Ready', async () => {
    await cluster.apply(minimalPipeline(name, 'default', { redis: { url: redis.url } }))
    await makeReady(() => becomes('Ready', 'True', 'Running'))
    assert.equal((await wait()).code, 0)
  })

  await suite.test('another Redis that never answers', async (t) => {
    const sockets = new Set<Socket>()
    const hung = createServer((socket) => void sockets.add(socket)).listen(0, '127.0.0.1')
    await once(hung, 'listening')
    t.after(() => {
      for (const socket of sockets) socket.destroy()
      hung.close()
    })
    const { port } = hung.address() as AddressInfo
    await neverReady(async () => {
      await cluster.patch(kinds.pipelineType, 'default', name, { spec: { redis: { url: `redis://127.0.0.1:${port}/0` } } })
      assert.notEqual((await wait()).code, 0)
      await becomes('RedisReachable', 'False', 'RedisUnreachable')
    })
    await cluster.patch(kinds.pipelineType, 'default', name, { spec: { redis: { url: redis.url } } })
    await makeReady(() => becomes('Ready', 'True', 'Running'))
  })

  await suite.test('an image that cannot be pulled, until its deadline and until it is mended', async () => {
    await cluster.patch(kinds.deploymentType, 'default', consumerName(name), { spec: { progressDeadlineSeconds: 8 } })
    const before = new Set((await pods()).map(({ metadata }) => metadata.name))
    await neverReady(async () => {
      await cluster.patch(kinds.pipelineType, 'default', name, { spec: { consumer: { image: 'nowhere.invalid/consumer:none' } } })
      const fresh = await eventually(async () => (await pods()).find(({ metadata }) => !before.has(metadata.name)) ?? null, slow)
      await becomes('Ready', 'Unknown', 'Progressing')
      const waiting = { reason: 'ImagePullBackOff', message: 'nowhere.invalid: no such host' }
      const container = { name: 'consumer', image: 'i', imageID: '', ready: false, restartCount: 0, state: { waiting } }
      await say(fresh, { phase: 'Pending', containerStatuses: [container] })
      await eventually(async () => {
        const reported = await becomes('Ready', 'False', 'ImagePullFailed')
        assert.match(reported.message, /1 of an earlier template.*no such host\. Check spec\.consumer\.image/)
      }, slow)
      await becomes('ConsumersAvailable', 'True', 'ConsumersDegraded')
      const stalled = await becomes('Stalled', 'True', 'ProgressDeadlineExceeded')
      assert.match(stalled.message, /no such host/)
      assert.notEqual((await wait()).code, 0)
    })
    // The Deployment controller keeps its condition.
    const pause = (paused: boolean) => cluster.patch(kinds.deploymentType, 'default', consumerName(name), { spec: { paused } })
    await pause(true)
    await becomes('Ready', 'False', 'RolloutPaused')
    await eventually(async () => {
      const deployment = await cluster.get<Loose>(kinds.deploymentType, 'default', consumerName(name))
      assert.equal(at(deployment, 'status.observedGeneration'), deployment?.metadata.generation)
    }, slow)
    const held = await becomes('Stalled', 'True', 'ProgressDeadlineExceeded')
    assert.match(held.message, /kubectl rollout resume -n default deployment\/rolling-consumer/)
    await pause(false)
    await becomes('Ready', 'False', 'ImagePullFailed')
    await becomes('Stalled', 'True', 'ProgressDeadlineExceeded')
    await cluster.patch(kinds.pipelineType, 'default', name, { spec: { consumer: { image: null } } })
    await makeReady(() => becomes('Ready', 'True', 'Running'))
    await becomes('Stalled', 'False', 'Progressing')
  })

  await suite.test('growth is no rollout', async () => {
    const scaling = { policy: 'Manual' }
    await cluster.patch(kinds.pipelineType, 'default', name, { spec: { scaling, replicas: 4 } })
    await eventually(async () => assert.equal((await pods()).length, 4), slow)
    await becomes('Ready', 'True', 'Running')
    assert.equal((await wait()).code, 0)
  })

  await suite.test('suspended and disabled as asked for', async () => {
    await cluster.patch(kinds.pipelineType, 'default', name, { spec: { suspend: true } })
    await becomes('Ready', 'True', 'Suspended')
    assert.equal((await wait()).code, 0)
    const generation = (await pipeline())?.metadata.generation
    await cluster.server.kubectl(['annotate', 'streampipeline', name, 'streampipeline.dev/reconcile=disabled'])
    await becomes('Reconciled', 'Unknown', 'ReconcileDisabled')
    await cluster.patch(kinds.pipelineType, 'default', name, { spec: { suspend: false } })
    await becomes('Reconciled', 'Unknown', 'ReconcileDisabled')
    const ready = conditionOf(await pipeline(), 'Ready')
    assert.deepEqual([ready?.status, ready?.reason, at(ready, 'observedGeneration')], ['True', 'ReconcileDisabled', generation])
    assert.notEqual((await wait()).code, 0)
  })
})
