/** Redis Cluster, three primaries: the queue beside the stream, and the queue in another slot. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createDispatcher } from '../../client/dispatcher.ts'
import { createWorker } from '../../client/worker.ts'
import { fileScope } from '../redis/scope.ts'
import { eventually } from '../support/wait.ts'
import { type RedisCluster, startCluster } from './support/cluster.ts'
import { numbers, openTopology } from './support/pipeline.ts'

let cluster: RedisCluster
const scope = fileScope()
before(async () => {
  cluster = await startCluster(scope)
})

test('co-located: the atomic path, both modes of dispatch, and a worker', async (t) => {
  const redis = cluster.client()
  const topology = await openTopology(t, {
    spec: { redis: { cluster: { nodes: cluster.addresses } }, source: { stream: 'near:jobs' }, sink: { queue: 'near' } },
    redis,
  })
  const consumer = await topology.start()
  assert.equal((await consumer.told('forward path chosen'))['path'], 'Atomic')
  assert.equal(topology.queueKey, 'bull{near:jobs}:near')
  await topology.add(200)
  await topology.settled(numbers(200))

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
  await eventually(() => executed.length >= 202, { timeoutMs: 10_000 })
  assert.deepEqual(
    executed.toSorted((a, b) => a - b),
    numbers(202),
  )
  const begun = performance.now()
  const exit = await consumer.stop()
  assert.deepEqual(exit, { code: 0, signal: null })
  assert.ok(performance.now() - begun < 3_000, 'the blocked read was ended, not waited out')
})

test('the queue in another slot: the split path', async (t) => {
  const nodes = { cluster: { nodes: cluster.addresses } }
  const topology = await openTopology(t, {
    spec: { redis: nodes, source: { stream: 'far:jobs' }, sink: { queue: 'far', prefix: 'bull{other}', redis: nodes } },
    redis: cluster.client(),
  })
  assert.notEqual(cluster.nodeOf('far:jobs'), cluster.nodeOf('bull{other}:far'))
  const consumer = await topology.start()
  assert.equal((await consumer.told('forward path chosen'))['path'], 'Split')
  await topology.add(200)
  await topology.settled(numbers(200))
  await consumer.stop()
})
