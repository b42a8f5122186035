/** Dispatchers of one process that wait on one Redis share one blocking connection, whatever queues they wait for. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Queue } from 'bullmq'
import { createDispatcher } from '../../../client/dispatcher.ts'
import type { RedisInput } from '../../../client/lent.ts'
import { type NdviRequest, ndviPipeline, ndviRequest } from '../../client/ndvi.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

/** Connections that block in XREAD. */
async function blocked(server: RedisServer): Promise<number> {
  const list = String(await server.client().call('CLIENT', 'LIST'))
  return [...list.matchAll(/flags=b\S* .*cmd=xread /g)].length
}

function openDispatcher(t: TestContext, server: RedisServer, number: number, redis?: RedisInput) {
  const pipeline = ndviPipeline(server.url, (spec) => {
    spec.mode = 'Direct'
    spec.source.stream = `ndvi:jobs:${number}`
    spec.sink.bullmq.queue = `ndvi-${number}`
    spec.sink.bullmq.jobOptions = { attempts: 1, removeOnComplete: { count: 10 } }
  })
  const dispatcher = createDispatcher<NdviRequest>({ pipeline, env: {}, ...(redis === undefined ? {} : { redis }) })
  t.after(() => dispatcher.close())
  return dispatcher
}

/** Ends the job of a request by removing it, which BullMQ reports as an event. */
async function remove(t: TestContext, server: RedisServer, number: number, job: string) {
  const queue = new Queue(`ndvi-${number}`, { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  await queue.remove(job)
}

async function waitEach(dispatchers: readonly ReturnType<typeof openDispatcher>[]) {
  const results = await Promise.all(dispatchers.map((dispatcher) => dispatcher.dispatch(ndviRequest(1))))
  const waits = results.map(async (result, at) => await dispatchers[at]?.waitFor(result))
  return results.map(({ jobId }, at) => ({ jobId, wait: waits[at] ?? Promise.resolve() }))
}

/** Most connections that block at once, while `work` runs. */
async function most(server: RedisServer, work: () => Promise<unknown>): Promise<number> {
  let [highest, isDone] = [0, false]
  const working = work().finally(() => {
    isDone = true
  })
  while (!isDone) highest = Math.max(highest, await blocked(server))
  await working
  return highest
}

for (const way of ['one URL', 'one connection that is lent'] as const) {
  test(`six dispatchers for six queues, by ${way}: one blocking connection, which goes with the last of them`, async (t) => {
    const server = await startRedis(t)
    const redis = way === 'one URL' ? undefined : server.client()
    const dispatchers = [1, 2, 3, 4, 5, 6].map((number) => openDispatcher(t, server, number, redis))
    const waits = await waitEach(dispatchers)
    await eventually(async () => assert.equal(await blocked(server), 1))
    for (const [at, { jobId, wait }] of waits.entries()) {
      await remove(t, server, at + 1, jobId)
      assert.deepEqual(await wait, { outcome: 'notKept' })
    }
    for (const dispatcher of dispatchers.slice(1)) await dispatcher.close()
    assert.equal(await blocked(server), 1)
    // The one that is left hears its events still.
    const [left] = dispatchers
    assert.ok(left !== undefined)
    const again = await left.dispatch(ndviRequest(2))
    const waiting = left.waitFor(again)
    await remove(t, server, 1, again.jobId)
    assert.deepEqual(await waiting, { outcome: 'notKept' })
    await left.close()
    await eventually(async () => assert.equal(await blocked(server), 0))
  })
}

test('a queue that comes later is heard at once, and the others miss nothing', async (t) => {
  const server = await startRedis(t)
  const first = openDispatcher(t, server, 1)
  const [early] = await waitEach([first])
  assert.ok(early !== undefined)
  await eventually(async () => assert.equal(await blocked(server), 1))
  const others = [2, 3, 4].map((number) => openDispatcher(t, server, number))
  const highest = await most(server, async () => {
    for (const [at, other] of others.entries()) {
      const result = await other.dispatch(ndviRequest(1))
      const waiting = other.waitFor(result, { timeoutMs: 120_000 })
      await remove(t, server, at + 2, result.jobId)
      assert.deepEqual(await waiting, { outcome: 'notKept' })
    }
    await remove(t, server, 1, early.jobId)
    assert.deepEqual(await early.wait, { outcome: 'notKept' })
  })
  // The server may see the end of one connection after the begin of the next.
  assert.ok(highest >= 1 && highest <= 2, `${highest} blocked at once`)
})

test('a stream that cannot be read fails its own wait alone', async (t) => {
  const server = await startRedis(t)
  const [good, bad] = [openDispatcher(t, server, 1), openDispatcher(t, server, 2)]
  const [one] = await waitEach([good])
  const result = await bad.dispatch(ndviRequest(1))
  await server.client().del('bull:ndvi-2:events')
  await server.client().set('bull:ndvi-2:events', 'a text')
  await assert.rejects(async () => await bad.waitFor(result), { code: 'RedisCommandFailed' })
  assert.ok(one !== undefined)
  await remove(t, server, 1, one.jobId)
  assert.deepEqual(await one.wait, { outcome: 'notKept' })
})
