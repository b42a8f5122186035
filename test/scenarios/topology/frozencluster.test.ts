/**
 * Every node of a cluster stops answering (SIGSTOP: connections stay, and no reply comes). Requests then must fail in time, or
 * wait in bounded numbers. None may be sent twice or late when the nodes go on.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { compilePipeline } from '../../../api/compile.ts'
import type { StreamPipelineError } from '../../../api/errors.ts'
import { parsePipeline } from '../../../api/validate.ts'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { maxUnanswered } from '../../../client/overdue.ts'
import { resourceWith } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { eventually } from '../../support/wait.ts'
import { type RedisCluster, startCluster } from '../../topology/support/cluster.ts'
import { numbers, openTopology } from '../../topology/support/pipeline.ts'

let cluster: RedisCluster
const scope = fileScope()
before(async () => {
  cluster = await startCluster(scope)
})

async function freeze(t: TestContext) {
  const thaw = async () => {
    for (const node of cluster.nodes) await node.kill('SIGCONT')
  }
  t.after(thaw)
  for (const node of cluster.nodes) await node.kill('SIGSTOP')
  return async () => {
    await thaw()
    await cluster.ready()
  }
}

test('a consumer says BackendDown, sends no more than it can bear, and goes on', async (t) => {
  const topology = await openTopology(t, {
    spec: {
      redis: { cluster: { nodes: cluster.addresses } },
      source: { stream: 'frozen:jobs', batchSize: 10 },
      sink: { queue: 'frozen' },
      // The test is about the outage; peers play no part in it.
      reclaim: { minIdle: '60s', interval: '1s' },
    },
    redis: cluster.client(),
  })
  const consumer = await topology.start()
  await topology.add(100)
  await topology.settled(numbers(100))
  const thaw = await freeze(t)
  await eventually(async () => (await consumer.get('/readyz')).status === 503, { timeoutMs: 60_000 })
  assert.match((await consumer.get('/readyz')).body, /^BackendDown: /)
  assert.equal((await consumer.get('/livez')).status, 200)
  // Its loops wait for an answer before they ask again: no more commands are with the client than there are loops and batches.
  const sent = await consumer.metric('process_resident_memory_bytes')
  await sleep(5_000)
  const grown = (await consumer.metric('process_resident_memory_bytes')) - sent
  assert.ok(grown < 16 * 2 ** 20, `grew by ${grown} bytes while Redis was away`)
  await thaw()
  await consumer.ready()
  await topology.add(100, 100)
  await topology.settled(numbers(200))
  const begun = performance.now()
  assert.deepEqual(await consumer.stop('SIGTERM', 40_000), { code: 0, signal: null })
  assert.ok(performance.now() - begun < 20_000)
})

for (const mode of ['Stream', 'Direct'] as const) {
  test(`${mode}: dispatching on and on fails in time, and what waits is bounded`, async (t) => {
    const name = `frozen-${mode.toLowerCase()}`
    const pipeline = compilePipeline(
      parsePipeline(
        resourceWith({
          redis: { cluster: { nodes: cluster.addresses } },
          source: { stream: `{${name}}:jobs` },
          payload: { idempotencyKey: ['id'] },
          sink: { queue: name },
        }),
      ),
    )
    const dispatcher = createDispatcher({ pipeline, mode, env: {}, timeoutMs: 500 })
    t.after(() => dispatcher.close())
    // Half a second is little for the first connections of a busy machine.
    await eventually(() => dispatcher.dispatch({ id: '0' }))
    const thaw = await freeze(t)
    const codes = new Map<string, number>()
    const total = 4_800
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < total; i++) {
      const call = dispatcher.dispatch({ id: `late-${i}` }).catch((error: StreamPipelineError) => {
        codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
      })
      calls.push(call)
      // A thousand within the time that one call may take.
      if (i % 20 === 19) await sleep(10)
    }
    await Promise.all(calls)
    assert.deepEqual([...codes], [['RedisUnreachable', total]])
    // One is let through to see; the others fail at once.
    const refused: string[] = []
    const reported = (error: StreamPipelineError) => void refused.push(error.message)
    await Promise.all(['probe', 'refused'].map((id) => dispatcher.dispatch({ id }).catch(reported)))
    const [atOnce = '', inTime = ''] = refused
    assert.match(atOnce, /payloads were not answered; one call at a time/)
    assert.match(inTime, /no answer within 500 ms/)
    await thaw()
    await eventually(async () => (await dispatcher.dispatch({ id: 'after' })).mode === mode, { timeoutMs: 60_000 })
    await sleep(3_000)
    const redis = cluster.client()
    const arrived =
      mode === 'Stream' ? await redis.xlen(`{${name}}:jobs`) : await redis.llen(`${pipeline.sink.prefix}:${name}:wait`)
    t.diagnostic(`${arrived} arrived`)
    // The bound, and the requests under way when it was reached.
    assert.ok(arrived >= 2 && arrived < maxUnanswered + 2_000, `${arrived} of ${total} arrived late`)
    // All must succeed in one try. A machine that stands still for half a second may spoil a try.
    let tries = 0
    await eventually(async () => {
      tries += 1
      await Promise.all(Array.from({ length: 200 }, (_, i) => dispatcher.dispatch({ id: `calm-${tries}-${i}` })))
    })
  })
}
