import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { startPrivateRedis } from '../../local/redisserver.ts'
import { eventually } from '../support/wait.ts'

test('a private server keeps an append-only file, refuses to evict, and leaves nothing behind', async (t) => {
  const server = await startPrivateRedis()
  t.after(() => server.stop())
  const client = new Redis(server.url)
  t.after(() => client.disconnect())
  assert.equal(((await client.config('GET', 'appendonly')) as string[])[1], 'yes')
  assert.equal(((await client.config('GET', 'maxmemory-policy')) as string[])[1], 'noeviction')
  assert.equal(((await client.config('GET', 'port')) as string[])[1], '0', 'no TCP port, which any user could connect to')
  client.disconnect()
  await Promise.all([server.stop(), server.stop()])
  await assert.rejects(access(server.folder))
})

test('a server that is killed comes back on its port with what it had answered', async (t) => {
  const told: string[] = []
  const server = await startPrivateRedis({ progress: (line) => told.push(line) })
  t.after(() => server.stop())
  const client = new Redis(server.url)
  client.on('error', () => {})
  t.after(() => client.disconnect())
  for (let i = 0; i < 1_000; i++) client.rpush('list', i).catch(() => {})
  await client.rpush('list', 'last')
  const { pid } = server
  process.kill(pid, 'SIGKILL')
  await eventually(() => server.pid !== pid, { timeoutMs: 30_000 })
  assert.equal(await client.llen('list'), 1_001)
  assert.match(told.join('\n'), /redis-server ended \(SIGKILL\).*\nredis-server is back/)
})
