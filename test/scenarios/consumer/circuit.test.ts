/**
 * The circuit is open: entries that were delivered `maxDeliveries` times are kept, and tried one at a time, instead of
 * dead-lettered.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { opensCircuit } from '../../../scaling/circuit.ts'
import { openPipeline } from '../../consumer/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

const state = (kind: string, atMs: number) => JSON.stringify({ version: 1, atMs, replicas: 3, outage: { kind, sinceMs: atMs } })

test('the state is believed while it is fresh, and only when it says Open', () => {
  assert.equal(opensCircuit(state('Open', 1_000_000), 1_100_000), true)
  assert.equal(opensCircuit(state('Open', 1_000_000), 1_200_000), false)
  for (const kind of ['Suspected', 'Readmitting']) assert.equal(opensCircuit(state(kind, 1_000_000), 1_000_000), false)
  for (const text of ['', 'null', '{', '[]', '3', '{"outage":{"kind":"Open"}}']) assert.equal(opensCircuit(text, 1), false, text)
})

/** A consumer tries one entry each second. It cannot have tried all of these before the test looks. */
const count = 30

async function worn(t: Parameters<typeof openPipeline>[0], name: string) {
  const fixture = openPipeline(t, server, { source: { stream: `{${name}}:jobs` }, sink: { queue: name } })
  await fixture.makeGroup()
  await fixture.add(count)
  const ids = await fixture.read('dead-peer', count)
  await fixture.deliver('dead-peer', ids, fixture.pipeline.delivery.maxDeliveries, 60_000)
  const [seconds] = await fixture.redis.time()
  const setState = async (kind: string, ageMs = 0) =>
    await fixture.redis.hset(fixture.place.keys.stats, 'scaling', state(kind, Number(seconds) * 1_000 - ageMs))
  return { ...fixture, setState }
}

test('open: none is dead-lettered, one a round is tried, uncounted; closed: the rest is', async (t) => {
  const { setState, start, dead, waiting, pending } = await worn(t, 'open')
  await setState('Open')
  const consumer = await start('pod-0')
  await eventually(async () => (await waiting()) >= 2, { timeoutMs: 30_000 })
  assert.deepEqual(await dead(), [])
  assert.deepEqual([...new Set((await pending()).map(({ deliveries }) => deliveries))], [5])
  await setState('Readmitting')
  await eventually(async () => (await pending()).length === 0, { timeoutMs: 30_000 })
  const letters = await dead()
  assert.ok(letters.length >= 1 && letters.length + (await waiting()) === count)
  for (const { reason } of letters) assert.equal(reason, 'MaxDeliveries')
  assert.equal((await consumer.stop()).code, 0)
})

test('a scaler that fell silent while it was open keeps nothing back', async (t) => {
  const { setState, start, dead, waiting } = await worn(t, 'silent')
  await setState('Open', 300_000)
  await start('pod-0')
  await eventually(async () => (await dead()).length === count, { timeoutMs: 30_000 })
  assert.equal(await waiting(), 0)
})
