/** Calls of scripts that are encoded here arrive as ioredis would have sent them, also where the server forgot the script. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { close, connect, open } from '../../../redis/connect/connection.ts'
import { callEncoded, encodedScript, takesEncodedCalls } from '../../../redis/scripts/encodedcall.ts'
import { defineScript } from '../../../redis/scripts/script.ts'
import { address } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { seed } from '../../support/seed.ts'

const server = await startRedis({ after })

async function opened(scope: Scope) {
  const connection = connect(address(server.port), 'Writer')
  scope.after(async () => await close(connection))
  await open(connection)
  return connection
}

const echo = encodedScript('return {KEYS, ARGV}')

test('keys and arguments arrive byte by byte, whatever they hold', async (t) => {
  const connection = await opened(t)
  const text = fc.string({ unit: 'grapheme', maxLength: 300 })
  const argument = fc.oneof(
    text,
    fc.integer(),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(text, { maxLength: 5 }), fc.array(argument, { maxLength: 40 }), async (keys, args) => {
      const reply = await callEncoded(connection, echo, keys, args, null)
      const expected = [keys, args].map((list) => list.map((one) => (Buffer.isBuffer(one) ? one : Buffer.from(String(one)))))
      assert.deepEqual(reply, expected)
    }),
    { seed, numRuns: 200 },
  )
})

test('a script that the server does not know, or forgot, is sent by its text, with the same arguments', async (t) => {
  const connection = await opened(t)
  const script = defineScript('echo', `return {ARGV[1], '${t.name.length}'}`)
  for (let times = 0; times < 3; times++) {
    assert.deepEqual(await script.run(connection, ['k'], ['ä']), ['ä', String(t.name.length)])
    assert.deepEqual(await script.runBuffer(connection, ['k'], ['ä']), [Buffer.from('ä'), Buffer.from(String(t.name.length))])
    await connection.script('FLUSH')
  }
})

test('several calls at once keep their order, also where the server forgets the script between them', async (t) => {
  const connection = await opened(t)
  const script = defineScript('push', "redis.call('RPUSH', KEYS[1], ARGV[1])")
  await script.run(connection, ['order'], ['0'])
  await Promise.all(Array.from({ length: 20 }, (_, at) => script.run(connection, ['order'], [String(at + 1)])))
  assert.deepEqual(
    await connection.lrange('order', 0, -1),
    Array.from({ length: 21 }, (_, at) => String(at)),
  )
})

test('an error of the script is the error of its call', async (t) => {
  const connection = await opened(t)
  const refused = encodedScript("return redis.error_reply('ODD no')")
  await assert.rejects(callEncoded(connection, refused, [], [], 'utf8'), /^ReplyError: ODD no/)
})

test('a call that was in flight when its connection was lost is sent again', async (t) => {
  const connection = await opened(t)
  const calls = Array.from({ length: 50 }, (_, at) => callEncoded(connection, echo, [`k${at}`], ['ö'.repeat(5_000)], 'utf8'))
  connection.disconnect(true)
  for (const [at, reply] of (await Promise.all(calls)).entries()) assert.deepEqual(reply, [[`k${at}`], ['ö'.repeat(5_000)]])
})

test('a connection that adds a prefix to keys is left to ioredis', async () => {
  const prefixed = new Redis({ lazyConnect: true, keyPrefix: 'p:' })
  const plain = new Redis({ lazyConnect: true })
  assert.deepEqual([takesEncodedCalls(prefixed), takesEncodedCalls(plain)], [false, true])
  prefixed.disconnect()
  plain.disconnect()
})
