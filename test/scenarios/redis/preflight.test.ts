/** The checks before the first entry is taken: each finding by name, with its remedy. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { StreamPipelineError } from '../../../api/errors.ts'
import { openBullQueue } from '../../../redis/bullmq/queue.ts'
import { close, connect } from '../../../redis/connect/connection.ts'
import { checkBackends } from '../../../redis/preflight/backends.ts'
import { chooseSettlePath } from '../../../redis/settle/choose.ts'
import { address, pipelineWith } from '../../redis/resource.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'

let near: RedisServer
let far: RedisServer
const scope = fileScope()
before(async () => {
  ;[near, far] = await Promise.all([startRedis(scope), startRedis(scope)])
})

function open(t: TestContext, server: RedisServer) {
  const connection = connect(address(server.port), 'Writer')
  t.after(() => close(connection))
  return connection
}

const failing = (code: string, says: RegExp) => (error: StreamPipelineError) => {
  assert.equal(error.code, code)
  assert.match(error.advice, says)
  return true
}

test('a policy that evicts is refused, at the stream’s server and at the queue’s', async (t) => {
  const [stream, queue] = [open(t, near), open(t, far)]
  const pipeline = pipelineWith({ sink: { redis: { url: far.url } } })
  for (const server of [near, far]) {
    const admin = server.client()
    for (const policy of ['allkeys-lru', 'volatile-lru', 'volatile-ttl']) {
      await admin.config('SET', 'maxmemory-policy', policy)
      await assert.rejects(
        checkBackends(pipeline, stream, queue),
        failing('RedisUnfit', new RegExp(`${server.port}.*${policy}.*CONFIG SET maxmemory-policy noeviction`)),
      )
    }
    await admin.config('SET', 'maxmemory-policy', 'noeviction')
  }
  await checkBackends(pipeline, stream, queue)
})

const stringKeys = [
  'ndvi:jobs',
  '{ndvi:jobs}:dead',
  ...['meta', 'wait', 'active', 'delayed', 'prioritized'].map((part) => `bull:ndvi:${part}`),
]
const more = ['completed', 'failed', 'events', 'marker'].map((part) => `bull:ndvi:${part}`)
for (const key of [...stringKeys, ...more]) {
  test(`a string at ${key} is reported by name`, async (t) => {
    const connection = open(t, near)
    const admin = near.client()
    await admin.set(key, 'text')
    await assert.rejects(
      checkBackends(pipelineWith(), connection, connection),
      failing('WrongKeyType', new RegExp(`key ${key.replace(/[{}]/g, '\\$&')} holds a string`)),
    )
    await admin.del(key)
    await checkBackends(pipelineWith(), connection, connection)
  })
}

test('the event stream’s length that the queue’s owner chose stays', async (t) => {
  const connection = open(t, near)
  const admin = near.client()
  await admin.hset('bull:ndvi:meta', { 'opts.maxLenEvents': '17', version: 'theirs' })
  const bull = await openBullQueue(connection, 'ndvi', 'bull')
  await bull.close()
  const { path } = await chooseSettlePath(pipelineWith(), connection, connection)
  await path.close()
  assert.deepEqual(await admin.hgetall('bull:ndvi:meta'), { 'opts.maxLenEvents': '17', version: 'theirs' })
  await admin.del('bull:ndvi:meta')
})
