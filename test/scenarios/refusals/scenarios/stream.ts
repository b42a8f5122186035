/** Operations on the stream as a whole: its group, its ledger, its retention; and adding to it. */
import { addToStream } from '../../../../client/streamadd.ts'
import { ensureGroup } from '../../../../redis/stream/group.ts'
import { auditLedger } from '../../../../redis/stream/ledger.ts'
import { retainEntries } from '../../../../redis/stream/retention.ts'
import type { World } from '../rig.ts'
import type { Scenario } from '../scene.ts'
import { consumeNew } from '../worker.ts'

const once = (...keys: string[]) => Object.fromEntries(keys.map((key) => [key, 1]))

async function makeGroup({ path, consumer }: World, existed = false) {
  await ensureGroup(consumer.stream, path.place.keys, { ...path.pipeline.source, startFrom: 'Beginning' }, existed)
}

export const firstGroup: Scenario = {
  name: 'make the group',
  async lay(world) {
    const { path } = world
    await path.stream.del(path.place.stream, path.place.keys.stats)
    await path.putKeys('a', 'b', 'c')
    return { expected: { jobs: once('a', 'b', 'c') }, operate: async () => await makeGroup(world) }
  },
}

export const groupAgain: Scenario = {
  name: 'make the group again',
  async lay(world) {
    const { path } = world
    const [, floor = ''] = await path.putKeys('a', 'b')
    await consumeNew(world)
    await path.queueClient.flushdb()
    await world.reset()
    await path.stream.xadd(path.place.stream, floor, 'k', 'b')
    await path.putKeys('c', 'd', 'e')
    await path.stream.hset(path.place.keys.stats, { floor, settled: '2' })
    await path.stream.xgroup('DESTROY', path.place.stream, path.place.group)
    return { expected: { jobs: once('c', 'd', 'e'), uncounted: -1 }, operate: async () => await makeGroup(world) }
  },
}

/** FLUSHALL took the floor along; only the caller knows that there was a group. */
export const groupAfterFlush: Scenario = {
  name: 'make the group after FLUSHALL',
  async lay(world) {
    const { path } = world
    await path.stream.del(path.place.stream, path.place.keys.stats)
    await path.putKeys('a', 'b')
    return { expected: { jobs: once('a', 'b') }, operate: async () => await makeGroup(world, true) }
  },
}

const retainedFor = (world: World, settledForMs: number, maxEntries?: number) => async () => {
  const retention = { settledForMs, ignoredGroups: [], ...(maxEntries === undefined ? {} : { maxEntries }) }
  await retainEntries(world.consumer.stream, world.path.place, retention)
}

const letters = [...'abcdefghijklmnop']

export const trimming: Scenario = {
  name: 'trim what is settled',
  async lay(world) {
    const { path } = world
    await path.putKeys(...letters.slice(0, 8))
    await consumeNew(world)
    await path.putKeys(...letters.slice(8))
    return { expected: { jobs: once(...letters) }, operate: retainedFor(world, -10_000) }
  },
}

export const cutting: Scenario = {
  name: 'cut what is unread',
  async lay(world) {
    await world.path.putKeys(...letters)
    return { expected: { jobs: once(...letters.slice(12)), lost: 12 }, operate: retainedFor(world, 60_000, 4) }
  },
}

export const auditing: Scenario = {
  name: 'audit the ledger',
  async lay(world) {
    const { path, consumer } = world
    await path.putKeys(...letters)
    await path.stream.xtrim(path.place.stream, 'MAXLEN', 4)
    return {
      expected: { jobs: once(...letters.slice(12)), lost: 12 },
      operate: async () => void (await auditLedger(consumer.stream, path.place)),
    }
  },
}

/** A base that strangers have made wrong: the ledger begins anew, and keeps its earlier counts. */
export const rebasing: Scenario = {
  name: 'rebase the ledger',
  async lay(world) {
    const { path, consumer } = world
    await path.putKeys('a', 'b')
    await path.stream.hset(path.place.keys.stats, { base: '5' })
    return {
      expected: { jobs: once('a', 'b') },
      operate: async () => void (await auditLedger(consumer.stream, path.place)),
    }
  },
}

/** Several entries go by dispatchAdd, one alone by dispatchOne. */
const dispatchOf = (name: string, letters: readonly string[]): Scenario => ({
  name,
  served: true,
  async lay(world) {
    const { path, consumer } = world
    const { stream, keys } = path.place
    const add = { stream, modeKey: keys.mode, mode: 'Stream', maxEntries: 1_000, consumers: keys } as const
    const entries = letters.map((key) => ({ flat: ['k', key], hasOptions: false }))
    return {
      expected: { jobs: once(...letters) },
      operate: async () => void (await addToStream(consumer.stream, add, entries)),
    }
  },
})

export const dispatching = dispatchOf('dispatch to the stream', ['a', 'b', 'c'])
export const dispatchingOne = dispatchOf('dispatch one to the stream', ['a'])
