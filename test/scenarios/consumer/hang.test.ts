import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertOnce, type ConsumerProcess, openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const source = { stream: '{o}:jobs', batchSize: 50 }
const patience = { timeoutMs: 30_000 }

const unready = (consumer: ConsumerProcess) => eventually(async () => (await consumer.get('/readyz')).status === 503, patience)

async function onOwnServer(t: TestContext, options: Parameters<typeof startRedis>[1] = {}, spec: object = {}) {
  const server = await startRedis(t, options)
  return { server, ...openPipeline(t, server, { source, ...spec }) }
}

test('a Redis that hangs is an outage; woken, it goes on, and nothing is doubled', async (t) => {
  const { server, add, start, waiting, jobs, pending } = await onOwnServer(t)
  const consumer = await start('pod-0')
  await add(100)
  await server.kill('SIGSTOP')
  try {
    await eventually(async () => (await consumer.get('/readyz')).status === 503, { timeoutMs: 30_000 })
  } finally {
    await server.kill('SIGCONT')
  }
  await consumer.ready()
  await eventually(async () => (await waiting()) === 100 && (await pending()).length === 0, patience)
  assertOnce(await jobs(), 100)
})

test('a Redis that hangs is reported in time, whatever was under way', async (t) => {
  const reported = async (afterMs: number) => {
    const { server, add, start } = await onOwnServer(t)
    const consumer = await start('pod-0')
    await add(100)
    await sleep(afterMs)
    await server.kill('SIGSTOP')
    const begun = performance.now()
    try {
      await unready(consumer)
      return performance.now() - begun
    } finally {
      await server.kill('SIGCONT')
    }
  }
  const tookMs = await Promise.all([5, 10, 15, 20, 25, 30].map(reported))
  // A heartbeat comes every two seconds, and may go unanswered for ten. That is twelve. A busy machine gets six more.
  assert.ok(Math.max(...tookMs) < 18_000, `${tookMs.map(Math.round).join(', ')} ms`)
})

test('SIGTERM while Redis is away ends soon, with 0', async (t) => {
  const { server, start, redis } = await onOwnServer(t, {}, { consumer: { terminationGracePeriodSeconds: 60 } })
  const consumer = await start('pod-0')
  await server.kill()
  await unready(consumer)
  const begun = performance.now()
  assert.equal((await consumer.stop('SIGTERM', 40_000)).code, 0)
  // It does not wait for the deadline of its drain, which is 48 s.
  assert.ok(performance.now() - begun < 20_000, `took ${Math.round(performance.now() - begun)} ms`)
  // The fixture's own client can be closed only when it is not waiting to connect.
  await server.start()
  await redis.ping()
})
