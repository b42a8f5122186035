/** A read costs one command. The id of the connection, by which a blocked read is ended, is asked for once in the life of a socket. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertOnce, openPipeline } from '../../consumer/fixture.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

test('CLIENT ID is sent once per connection, and a read that blocks on the next one is ended as quickly', async (t) => {
  const server = await startRedis(t)
  const { start, add, redis, waiting, jobs } = openPipeline(t, server, {
    source: { stream: '{cost}:jobs', block: '60s' },
    sink: { queue: 'cost' },
    // No reclaim ends a read meanwhile.
    reclaim: { minIdle: '600s', interval: '600s' },
    idempotency: { lockTTL: '1s' },
  })
  const consumer = await start('pod-0')
  const calls = async (command: string) => {
    const stats = await redis.info('commandstats')
    return Number(new RegExp(`cmdstat_${command.replace('|', '\\|')}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  }
  const reader = async () => {
    const clients = String(await redis.client('LIST'))
    return /^id=(\d+) .*\bname=streampipeline-blocking\b.* flags=b/m.exec(clients)?.[1]
  }
  let added = 0
  const addOneByOne = async (count: number) => {
    for (let at = 0; at < count; at++) {
      await add(1, added++)
      await eventually(async () => (await waiting()) === added, { timeoutMs: 60_000 })
    }
  }
  await addOneByOne(10)
  assert.equal(await calls('client|id'), 1)
  assert.ok((await calls('xreadgroup')) >= 10)
  const id = await eventually(reader)
  await redis.client('KILL', 'ID', Number(id))
  await addOneByOne(10)
  assert.equal(await calls('client|id'), 2)
  assert.notEqual(await eventually(reader), id)
  const begun = performance.now()
  assert.equal((await consumer.stop('SIGTERM', 40_000)).code, 0)
  const tookMs = performance.now() - begun
  assert.ok(tookMs < 30_000, `the read blocks for a minute, and stopping took ${tookMs} ms`)
  assertOnce(await jobs(), 20)
})
