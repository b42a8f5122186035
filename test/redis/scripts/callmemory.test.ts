/** The memory of calls is used again, and never while a server may still need it. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { close, connect, open } from '../../../redis/connect/connection.ts'
import { giveBackMemory, takeMemory } from '../../../redis/scripts/callmemory.ts'
import { callEncoded, encodedScript } from '../../../redis/scripts/encodedcall.ts'
import { address } from '../../redis/resource.ts'
import { startRedis } from '../../support/redis.ts'
import { seed } from '../../support/seed.ts'

const server = await startRedis({ after })
const echo = encodedScript('return ARGV')

test('memory that was given back is taken again, by calls of its size', () => {
  const first = takeMemory(5_000)
  const second = takeMemory(5_000)
  assert.ok(first.length >= 5_000 && first.buffer !== second.buffer)
  giveBackMemory(first)
  assert.notEqual(takeMemory(50_000).buffer, first.buffer)
  assert.equal(takeMemory(8_000).buffer, first.buffer)
  assert.notEqual(takeMemory(8_000).buffer, first.buffer)
})

test('every size is served, and little is kept', () => {
  for (const bytes of [1, 4_096, 4_097, 65_536, 262_144, 262_145, 5_000_000]) {
    const taken = Array.from({ length: 20 }, () => takeMemory(bytes))
    for (const memory of taken) assert.ok(memory.length >= bytes)
    for (const memory of taken) giveBackMemory(memory)
    const again = new Set(Array.from({ length: 20 }, () => takeMemory(bytes).buffer))
    const reused = taken.filter(({ buffer }) => again.has(buffer)).length
    assert.ok(reused <= 4, `${reused} of ${bytes} bytes were kept`)
  }
})

const sizes = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 30 })

test('calls at once, of any sizes, each get what they sent, while others are answered and connections are lost', async (t) => {
  const connection = connect(address(server.port), 'Writer')
  t.after(async () => await close(connection))
  await open(connection)
  let letter = 0
  const call = async (size: number) => {
    const texts = Array.from({ length: 3 }, () => String.fromCharCode(97 + (letter++ % 26)).repeat(size))
    assert.deepEqual(await callEncoded(connection, echo, [], texts, 'utf8'), texts)
  }
  await fc.assert(
    fc.asyncProperty(sizes, sizes, fc.boolean(), async (first, then, lost) => {
      const running = first.map(async (size) => {
        await call(size)
        await call(size)
      })
      if (lost) connection.disconnect(true)
      await Promise.all([...running, ...then.map(call)])
    }),
    { seed, numRuns: 40 },
  )
})

test('a call that the server refuses gives its memory back, and one without an answer does not', async (t) => {
  const connection = connect(address(server.port), 'Writer')
  t.after(async () => await close(connection))
  await open(connection)
  const refusing = encodedScript("return redis.error_reply('ODD no')")
  const text = 'x'.repeat(20_000)
  // All that earlier tests gave back.
  for (let taken = 0; taken < 4; taken++) takeMemory(20_200)
  await assert.rejects(callEncoded(connection, refusing, [], [text], 'utf8'), /ODD no/)
  assert.ok(takeMemory(20_200).toString('latin1').includes(text), 'the memory of the refused call')
  const other = 'y'.repeat(20_000)
  await server.client().call('CLIENT', 'PAUSE', 30_000, 'ALL')
  const broken = assert.rejects(callEncoded(connection, echo, [], [other], 'utf8'))
  connection.disconnect()
  await broken
  assert.ok(!takeMemory(20_200).toString('latin1').includes(other), 'the memory of the broken call')
})
