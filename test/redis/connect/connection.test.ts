import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { Redis } from 'ioredis'
import { StreamPipelineError } from '../../../api/errors.ts'
import { type ConnectionRole, close, connect, failureOn, open, type RedisConnection } from '../../../redis/connect/connection.ts'
import { redisFailure, replyCode } from '../../../redis/connect/replies.ts'
import { freePort } from '../../support/port.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { address } from '../resource.ts'
import { fileScope } from '../scope.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

function connectTo(t: TestContext, port: number, more: object = {}, role: ConnectionRole = 'Observer'): RedisConnection {
  const connection = connect(address(port, more), role)
  t.after(() => close(connection))
  return connection
}

async function codeOf(work: Promise<unknown>, connection?: RedisConnection): Promise<string> {
  try {
    await work
  } catch (thrown) {
    const error = connection === undefined ? thrown : failureOn(connection, thrown)
    assert.ok(error instanceof StreamPipelineError, String(thrown))
    return error.code
  }
  return 'no failure'
}

test('every role opens, and closes twice', async () => {
  for (const role of ['Blocking', 'Writer', 'Observer', 'Producer', 'BullWorker'] as const) {
    const connection = connect(address(server.port), role)
    assert.equal(connection.status, 'wait')
    await open(connection)
    assert.equal(await connection.ping(), 'PONG')
    await close(connection)
    await close(connection)
    assert.equal(connection.status, 'end')
  }
})

test('a connection never opened closes, and opens no socket', async () => {
  const connection = connect(address(await freePort()), 'Writer')
  await close(connection)
  assert.equal(connection.status, 'end')
})

test('refused', async (t) => {
  for (const role of ['Writer', 'Observer', 'Producer'] as const) {
    const connection = connectTo(t, await freePort(), {}, role)
    assert.equal(await codeOf(open(connection)), 'RedisUnreachable')
    assert.equal(await codeOf(open(connection)), 'RedisUnreachable', 'the second attempt says the same')
  }
})

test('wrong password, wrong user, no password', async (t) => {
  const guarded = await startRedis(t, { password: 'right' })
  for (const given of [{ password: 'wrong' }, { username: 'nobody', password: 'right' }, {}]) {
    const connection = connectTo(t, guarded.port, given)
    assert.equal(await codeOf(open(connection)), 'RedisAuthFailed', JSON.stringify(given))
  }
  const right = connectTo(t, guarded.port, { password: 'right' })
  await open(right)
})

test('TLS spoken to a plain server', async (t) => {
  const code = await codeOf(open(connectTo(t, server.port, { tls: {} })))
  assert.ok(['RedisTlsFailed', 'RedisUnreachable'].includes(code), code)
})

test('a socket that fails twice ends its connection, not the process', async (t) => {
  const connection = connectTo(t, server.port, {}, 'Writer') as Redis
  await open(connection)
  const { stream } = connection
  for (const message of ['certificate required', 'read ECONNRESET']) stream.emit('error', new Error(message))
  assert.equal(await connection.ping(), 'PONG')
})

test('a user without the right, without the key', async (t) => {
  await server.client().call('ACL', 'SETUSER', 'narrow', 'on', '>p', '~mine', '+get', '+info', '+ping', '+hello', '+client')
  const connection = connectTo(t, server.port, { username: 'narrow', password: 'p' })
  await open(connection)
  assert.equal(await codeOf(connection.set('mine', '1'), connection), 'RedisPermissionDenied')
  assert.equal(await codeOf(connection.get('other'), connection), 'RedisPermissionDenied')
})

test('a replica refuses writes: RedisNotReady, READONLY', async (t) => {
  const replica = await startRedis(t, { args: ['--replicaof', '127.0.0.1', String(server.port)] })
  // While it takes the data over it is loading, and answers nothing else.
  await eventually(async () => /master_link_status:up/.test(await replica.client().info('replication')))
  const connection = connectTo(t, replica.port)
  await open(connection)
  await assert.rejects(connection.set('a', '1'), (thrown) => {
    const error = failureOn(connection, thrown)
    assert.deepEqual([error.code, error.parameters['reply']], ['RedisNotReady', 'READONLY'])
    return true
  })
})

test('out of memory: alone, in a script, in a transaction', async (t) => {
  const full = await startRedis(t, { args: ['--maxmemory', '1'] })
  const connection = connectTo(t, full.port)
  await open(connection)
  assert.equal(await codeOf(connection.set('a', '1'), connection), 'RedisOutOfMemory')
  assert.equal(await codeOf(connection.eval("return redis.call('SET','a','1')", 0), connection), 'RedisOutOfMemory')
  const transaction = connection.multi().set('a', '1').get('a').exec()
  assert.equal(await codeOf(transaction, connection), 'RedisOutOfMemory')
})

const replies = [
  ['LOADING Redis is loading the dataset in memory', 'RedisNotReady'],
  ['MASTERDOWN Link with MASTER is down', 'RedisNotReady'],
  ['CLUSTERDOWN Hash slot not served', 'RedisNotReady'],
  ['TRYAGAIN Multiple keys request during rehashing of slot', 'RedisNotReady'],
  ['MISCONF Redis is configured to save RDB snapshots', 'RedisNotReady'],
  ['NOREPLICAS Not enough good replicas to write.', 'RedisNotReady'],
  ['BUSY Redis is busy running a script.', 'RedisNotReady'],
  ['UNBLOCKED the stream key no longer exists', 'RedisNotReady'],
  ['NOGROUP No such key', 'RedisCommandFailed'],
  ['WRONGTYPE Operation against a key', 'RedisCommandFailed'],
  ['ERR syntax error', 'RedisCommandFailed'],
  ['NOAUTH Authentication required.', 'RedisAuthFailed'],
  ['NOPERM this user has no permissions', 'RedisPermissionDenied'],
] as const
for (const [message, code] of replies) {
  test(`${message.split(' ')[0]} is ${code}`, () => {
    const reply = Object.assign(new Error(message), { name: 'ReplyError', command: { name: 'set', args: ['k', 'payload!'] } })
    const error = redisFailure(reply, 'h:1')
    assert.equal(error.code, code)
    assert.equal(error.cause, reply)
    assert.equal(replyCode(error), message.split(' ')[0])
    assert.ok(!error.advice.includes('payload!'))
  })
}

const timersNow = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('closing while it reconnects resolves, and rejects what waits', { timeout: 90_000 }, async (t) => {
  const mortal = await startRedis(t)
  for (const role of ['Blocking', 'BullWorker', 'Writer'] as const) {
    await mortal.start()
    const timers = timersNow()
    const connection = connect(address(mortal.port), role)
    await open(connection)
    await mortal.kill()
    await eventually(() => connection.status === 'reconnecting')
    const waits = connection.get('a').then(
      () => 'answered',
      () => 'rejected',
    )
    await close(connection)
    assert.equal(await waits, 'rejected', role)
    assert.equal(connection.status, 'end')
    assert.ok(timersNow() <= timers, 'a timer still keeps the process')
  }
})

test('a cluster that is away can be opened in vain and closed', { timeout: 90_000 }, async () => {
  const nodes = [{ host: '127.0.0.1', port: await freePort() }]
  const connection = connect({ kind: 'Cluster', nodes, label: 'cluster' }, 'Observer')
  assert.equal(await codeOf(open(connection)), 'RedisUnreachable')
  await close(connection)
})

test('an aborted opening ends at once', async (t) => {
  const stopped = await startRedis(t)
  await stopped.kill('SIGSTOP')
  t.after(() => stopped.kill('SIGKILL'))
  const connection = connectTo(t, stopped.port)
  const controller = new AbortController()
  const opening = codeOf(open(connection, controller.signal))
  controller.abort()
  assert.equal(await opening, 'Internal')
})
