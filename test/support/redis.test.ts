import './leaks.ts'
import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import test from 'node:test'
import { startRedis } from './redis.ts'
import type { Scope } from './scope.ts'

test('a private server answers under its own pid, and refuses to evict', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  assert.match(await client.info('server'), new RegExp(`process_id:${server.pid}\\r`))
  assert.deepEqual(await client.config('GET', 'maxmemory-policy'), ['maxmemory-policy', 'noeviction'])
})

test('what was acknowledged survives a kill when the file is appended to', async (t) => {
  const server = await startRedis(t, { appendonly: true })
  const client = server.client()
  await client.set('kept', '1')
  const { pid, port } = server
  await server.kill()
  assert.equal(server.running, false)
  await server.start()
  assert.notEqual(server.pid, pid)
  assert.equal(server.port, port)
  assert.equal(await client.get('kept'), '1')
})

test('a restart without a file comes back empty', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  await client.set('gone', '1')
  await server.restart()
  assert.equal(await client.exists('gone'), 0)
})

test('a stopped (SIGSTOP) server is silent until it goes on', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  await client.ping()
  await server.kill('SIGSTOP')
  const answer = client.ping()
  assert.equal(await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 50, 'silent'))]), 'silent')
  await server.kill('SIGCONT')
  assert.equal(await answer, 'PONG')
})

test('a password is wanted of every client', async (t) => {
  const server = await startRedis(t, { password: 'p@ss' })
  assert.equal(await server.client().ping(), 'PONG')
  await assert.rejects(server.client({ password: 'wrong', maxRetriesPerRequest: 0 }).ping(), /WRONGPASS/)
})

test('servers of one test are apart from each other', async (t) => {
  const [one, other] = await Promise.all([startRedis(t), startRedis(t)])
  assert.notEqual(one.port, other.port)
  await one.client().set('key', '1')
  assert.equal(await other.client().exists('key'), 0)
})

test('a program that is not there is named in the error', async (t) => {
  await assert.rejects(startRedis(t, { binary: 'no-such-redis-server' }), /no-such-redis-server/)
})

test('the server outlives the hooks that the test registers after it', async (t) => {
  const hooks: ((context: unknown) => unknown)[] = []
  const scope: Scope = { after: (hook) => hooks.push(hook) }
  const server = await startRedis(scope)
  t.after(() => server.kill())
  hooks.push(() => assert.equal(server.running, true))
  for (const hook of hooks) await hook(scope)
  assert.equal(server.running, false)
  await assert.rejects(access(server.folder))
})
