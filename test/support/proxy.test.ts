import './leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { startProxy } from './proxy.ts'
import { startRedis } from './redis.ts'

test('the commands named are refused in their turn, also with their first argument only, and all others go through', async (t) => {
  const server = await startRedis(t)
  const proxy = await startProxy(t, server, { refuse: ['ROLE', 'CLIENT|NO-EVICT', 'INFO|memory'] })
  const redis = new Redis(proxy.port, '127.0.0.1')
  t.after(() => redis.disconnect())
  const large = 'x'.repeat(300_000)
  const replies = await redis
    .pipeline()
    .set('a', large)
    .call('role')
    .get('a')
    .client('NO-EVICT', 'ON')
    .client('GETNAME')
    .info('memory')
    .exec()
  const texts = replies?.map(([error, reply]) => (error === null ? reply : error.message))
  assert.deepEqual(texts, [
    'OK',
    "ERR unknown command 'ROLE', with args beginning with: ",
    large,
    "ERR unknown subcommand 'NO-EVICT'. Try CLIENT HELP.",
    null,
    "ERR unknown subcommand 'MEMORY'. Try INFO HELP.",
  ])
  assert.match(await redis.info('server'), /redis_version/)
  assert.match(String(await redis.eval("return redis.call('PING').ok", 0)), /PONG/)
  assert.equal(proxy.refused(), 3)
})
