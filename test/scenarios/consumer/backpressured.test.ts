/** Backpressure is seen from outside, whatever state of BullMQ the jobs wait in: by its name in the log, and as a number. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { openPipeline } from '../../consumer/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

for (const [what, jobOptions] of [
  ['for a worker', {}],
  ['for their time', { delay: '1h' }],
  ['by priority', { priority: 3 }],
] as const) {
  test(`jobs that wait ${what}: the log and the heartbeat name the state, the metric is 1`, async (t) => {
    const name = `full-${what.replaceAll(' ', '-')}`
    const { add, start, heartbeat } = openPipeline(t, server, {
      source: { stream: `{${name}}:jobs`, batchSize: 50 },
      sink: { queue: name, maxWaiting: 100, jobOptions },
    })
    const consumer = await start('pod-0')
    assert.equal(await consumer.metric('stream_consumer_backpressured'), 0)
    await add(600)
    const line = await consumer.logged('the queue is full; reading stops until it drains')
    assert.equal(line['state'], 'Backpressured')
    assert.ok(Number(line['waiting']) > 100)
    assert.equal(await consumer.metric('stream_consumer_backpressured'), 1)
    await eventually(async () => (await heartbeat('pod-0'))?.state === 'Backpressured')
    assert.equal((await consumer.stop()).code, 0)
  })
}
