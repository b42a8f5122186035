/** Servers that lack a command, as managed ones do: work goes on without it, and is acknowledged. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createDispatcher } from '../../../client/dispatcher.ts'
import { assertOnce, openPipeline } from '../../consumer/fixture.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { startProxy } from '../../support/proxy.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

async function withoutRole(t: TestContext) {
  const server = await startRedis(t)
  return { server, proxy: await startProxy(t, server, { refuse: ['ROLE'] }) }
}

test('a queue on a server without ROLE gets its jobs, and their entries are acknowledged', async (t) => {
  const stream = await startRedis(t)
  const { server, proxy } = await withoutRole(t)
  const fixture = openPipeline(t, stream, { sink: { redis: { url: proxy.url } } })
  const consumer = await fixture.start('c1')
  await fixture.add(2)
  await eventually(async () => (await server.client().llen(`${fixture.queueKey}:wait`)) === 2)
  await eventually(
    async () =>
      assert.deepEqual(
        (await fixture.pending()).map(({ id }) => id),
        [],
        'entries stay pending although their jobs are added',
      ),
    { timeoutMs: 3_000 },
  )
  assert.equal((await consumer.get('/readyz')).status, 200)
})

test('stream and queue together on a server without ROLE are settled by one script', async (t) => {
  const { server, proxy } = await withoutRole(t)
  const fixture = openPipeline(t, server, { url: proxy.url })
  const consumer = await fixture.start('c1')
  await fixture.add(2)
  await eventually(async () => (await fixture.waiting()) === 2)
  await eventually(async () => assert.deepEqual(await fixture.pending(), []), { timeoutMs: 3_000 })
  assertOnce(await fixture.jobs(), 2)
  assert.equal((await consumer.get('/readyz')).status, 200)
  assert.equal(
    consumer.log().find(({ code }) => code === 'PortableForwarding'),
    undefined,
    'ROLE is needed where there are replicas',
  )
})

test('direct dispatch to a server without ROLE answers with the job that it added', async (t) => {
  const { server, proxy } = await withoutRole(t)
  const reported: string[] = []
  const dispatcher = createDispatcher({
    pipeline: pipelineWith({ url: proxy.url }),
    mode: 'Direct',
    env: {},
    onError: ({ code }) => reported.push(code),
  })
  t.after(() => dispatcher.close())
  const first = await dispatcher.dispatch({ k: 1 })
  const second = await dispatcher.dispatch({ k: 1 })
  assert.ok(first.mode === 'Direct' && second.mode === 'Direct')
  assert.deepEqual([first.outcome, second.outcome], ['forwarded', 'duplicate'])
  assert.deepEqual(await server.client().lrange('bull:ndvi:wait', 0, -1), [first.jobId])
  assert.deepEqual(reported, [], 'the composed way needs no ROLE either')
})
