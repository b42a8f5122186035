/** What scaling remembers across processes, on a real Redis. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createConnections } from '../../../operator/observe/connections.ts'
import { createScalingMemory } from '../../../operator/observe/scalingmemory.ts'
import { systemClock } from '../../../process/clock.ts'
import { open } from '../../../redis/connect/connection.ts'
import { keySpace } from '../../../redis/keys.ts'
import type { ScalingPolicy } from '../../../scaling/policy.ts'
import { parseScalingState } from '../../../scaling/storedstate.ts'
import { address } from '../../redis/resource.ts'
import { consumers, policyWith, sampleWith } from '../../scaling/builders.ts'
import { startRedis } from '../../support/redis.ts'

const keys = keySpace('scenes:jobs', 'ndvi')

async function shelfOn(t: TestContext) {
  const redis = await startRedis(t)
  const lease = createConnections(systemClock).lease(address(redis.port), 'default')
  t.after(() => lease.release())
  await open(lease.connection)
  const client = redis.client()
  const kept = async () => parseScalingState((await client.hget(keys.stats, 'scaling')) ?? '')
  return { shelf: { connection: lease.connection, keys, id: 'here' }, client, kept }
}

function memoryWith(clock = { now: () => 0 }) {
  return createScalingMemory(clock, () => undefined, assert.ifError)
}

const policy = (currentReplicas: number, over: Partial<ScalingPolicy> = {}) =>
  policyWith({ currentReplicas, maxReplicas: 20, ...over })
/** A backlog that six consumers clear in time. */
const busy = (atMs: number, ready = 1) =>
  sampleWith({
    atMs,
    undelivered: 9_000,
    undeliveredAgeMs: 10_000,
    entriesAdded: 9_000,
    consumers: consumers(ready, { at: atMs, forwarded: 1_000 }),
  })

test('another number is written at once, small news each half minute, and the rest at the end', async (t) => {
  const { shelf, kept } = await shelfOn(t)
  let now = 0
  const memory = memoryWith({ now: () => now })
  await memory.read(shelf)
  memory.decide(busy(1_000_000), policy(1))
  await memory.write(shelf)
  assert.equal((await kept())?.replicas, 6)
  const times: (number | undefined)[] = []
  for (const [atMs, replicas] of [
    [1_005_000, 6],
    [1_031_000, 6],
    [1_036_000, 6],
    [1_041_000, 6],
  ] as const) {
    now = atMs - 1_000_000
    memory.decide(busy(atMs, replicas), policy(6))
    await memory.write(shelf)
    times.push((await kept())?.atMs)
  }
  assert.deepEqual(times, [1_000_000, 1_031_000, 1_031_000, 1_031_000])
  await memory.write(shelf, true)
  assert.equal((await kept())?.atMs, 1_041_000)
})

test('the next process keeps what the Deployment runs, whatever it finds', async (t) => {
  const { shelf, client } = await shelfOn(t)
  const old = memoryWith()
  await old.read(shelf)
  old.decide(busy(1_000_000), policy(1))
  await old.write(shelf)
  const state = (await client.hget(keys.stats, 'scaling')) ?? ''
  const foreign = JSON.stringify({ ...JSON.parse(state), replicas: 1, wanted: [], capacity: { perSecond: 1e9, marks: {} } })
  for (const text of [state, foreign, '', 'not a state', '{"version":2}']) {
    await client.hset(keys.stats, 'scaling', text)
    const next = memoryWith()
    await next.read(shelf)
    const calm = sampleWith({
      atMs: 1_020_000,
      entriesAdded: 9_000,
      consumers: consumers(9, { at: 1_020_000, forwarded: 1_000 }),
    })
    assert.equal(next.decide(calm, policy(9, { scaleDownDelayMs: 0 })).replicas, 9, text)
  }
})

test('what was decided without a look is not taken back by the state that is found then', async (t) => {
  const { shelf, client } = await shelfOn(t)
  const before = memoryWith()
  await before.read(shelf)
  before.decide(sampleWith({ consumers: consumers(2) }), policy(2))
  await before.write(shelf)
  const memory = memoryWith()
  for (let looks = 0; looks < 3; looks++) memory.decide(undefined, policy(2, { onMetricsLoss: 'Max' }))
  await memory.read(shelf)
  const seen = sampleWith({ atMs: 1_030_000, consumers: consumers(2, { at: 1_030_000 }) })
  assert.equal(memory.decide(seen, policy(2, { onMetricsLoss: 'Max' })).replicas, 20)
  assert.equal(await client.exists(keys.stats), 1)
})

test('another stream has a state of its own; another password is no other stream', async (t) => {
  const { shelf, kept } = await shelfOn(t)
  const memory = memoryWith()
  await memory.read(shelf)
  memory.decide(busy(1_000_000), policy(1))
  await memory.write(shelf)
  await memory.read({ ...shelf, id: 'here, with another password' })
  assert.equal(memory.decide(busy(1_005_000, 6), policy(6)).state.sinceMs, 1_000_000)

  const other = { ...shelf, keys: keySpace('other:jobs', 'ndvi'), id: 'there' }
  await memory.read(other)
  await memory.write(other, true)
  assert.equal(await shelf.connection.exists(other.keys.stats), 0, 'nothing of the first stream')
  const calm = sampleWith({ atMs: 1_010_000, consumers: consumers(6, { at: 1_010_000 }) })
  const decision = memory.decide(calm, policy(6, { scaleDownDelayMs: 0 }))
  assert.deepEqual([decision.replicas, decision.state.sinceMs, decision.state.arrivals.length], [6, 1_010_000, 1])
  assert.equal((await kept())?.atMs, 1_000_000)
})
