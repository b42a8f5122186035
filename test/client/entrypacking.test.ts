/** Entries reach the stream as they were given, whatever shapes one call mixes. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { addToStream } from '../../client/streamadd.ts'
import { keySpace } from '../../redis/keys.ts'
import { startRedis } from '../support/redis.ts'

const server = await startRedis({ after })
const redis = server.client()
beforeEach(async () => {
  await redis.flushall()
})

const stream = 'ndvi:jobs'
const add = async (entries: readonly (readonly string[])[], maxEntries?: number) => {
  const to = { stream, modeKey: 'mode', mode: 'Stream', maxEntries, consumers: keySpace(stream, 'ndvi') } as const
  return await addToStream(
    redis,
    to,
    entries.map((flat) => ({ flat, hasOptions: false })),
  )
}

const long = '🌾'.repeat(3_000)
const mixed = [
  ['farm', '7', 'engine', 'sentinel-hub'],
  ['farm', '8', 'engine', ''],
  ['engine', 'local', 'farm', '9'],
  ['farm', long, 'engine', 'grün'],
  ['größe', 'x'.repeat(511), 'farm', 'x'.repeat(512), 'engine', 'x'.repeat(513)],
  ['farm', '\0\r\n', 'engine', '0'],
  ['farm', '7', 'engine', 'sentinel-hub', 'sp-delay', '100'],
  ...Array.from({ length: 300 }, (_, at) => [`field-${at}`, `${at}`]),
  Array.from({ length: 1_000 }, (_, at) => `${at}`),
]

const shared = [
  ['short', 'same', 'long', long, 'empty', '', 'zero', '0', 'own', '1'],
  ['short', 'same', 'long', long, 'empty', '', 'zero', '0', 'own', '2'],
  ['short', 'same', 'long', long, 'empty', '', 'zero', '0', 'own', '1'],
]

for (const [what, entries] of [
  ['values that all entries share', shared],
  ['entries that are all the same', Array.from({ length: 3 }, () => shared[0] ?? [])],
  [
    'values that only the last entry has otherwise',
    [...shared, ['short', 'other', 'long', '', 'empty', long, 'zero', '', 'own', '3']],
  ],
  ['shared values of two shapes in turn', [...shared, ...mixed.slice(0, 3), ...shared]],
] as const) {
  test(what, async () => {
    const ids = await add(entries)
    assert.deepEqual(
      await redis.xrange(stream, '-', '+'),
      entries.map((flat, at) => [ids[at], flat]),
    )
  })
}

test('entries of many shapes, short and long, in order', async () => {
  const ids = await add(mixed)
  assert.deepEqual(
    await redis.xrange(stream, '-', '+'),
    mixed.map((flat, at) => [ids[at], flat]),
  )
})

for (const flat of mixed.slice(0, 7)) {
  test(`an entry alone: ${JSON.stringify(flat).slice(0, 60)}`, async () => {
    const ids = await add([flat])
    assert.deepEqual(await redis.xrange(stream, '-', '+'), [[ids[0], flat]])
  })
}

for (const count of [1, 2]) {
  test(`the bound of the stream's length holds for ${count} at a time`, async () => {
    for (let at = 0; at < 600; at++)
      await add(
        Array.from({ length: count }, () => ['farm', '7']),
        200,
      )
    const length = await redis.xlen(stream)
    assert.ok(length >= 200 && length < 400, `${length} entries`)
  })
}
