/** Operations on pending entries: claim, renewal, hand-back, release. Of each four one entry was trimmed. */
import { failure } from '../../../../api/errors.ts'
import { claimEntries, handBackEntries, renewEntries } from '../../../../redis/stream/pending.ts'
import { reapConsumer } from '../../../../redis/stream/reaping.ts'
import { retireConsumer, sendHeartbeat } from '../../../../redis/stream/registry.ts'
import type { World } from '../rig.ts'
import type { Scenario } from '../scene.ts'
import { settleAll } from '../worker.ts'

const owner = { name: 'gone', uid: 'owner/1' }

/** Eight entries under a name; the ids of all. */
async function hold({ path }: World, name: string) {
  const keys = ['a', 'b', 'cut-1', 'c', 'd', 'cut-2', 'e', 'f']
  const ids = await path.putKeys(...keys)
  await path.read(name)
  const cut = ids.filter((_, index) => keys[index]?.startsWith('cut'))
  await path.stream.xdel(path.place.stream, ...cut)
  const kept = keys.filter((key) => !key.startsWith('cut'))
  return {
    ids,
    expected: { jobs: Object.fromEntries(kept.map((key) => [key, 1])), records: cut.map((id) => `Trimmed ${id}`) },
  }
}

export const claiming: Scenario = {
  name: 'claim',
  async lay(world) {
    const { ids, expected } = await hold(world, owner.name)
    return {
      expected,
      async operate() {
        const { claimed, refusal } = await claimEntries(world.consumer.stream, world.path.place, 'me', 0, ids)
        await settleAll(world, claimed)
        if (refusal !== undefined) throw refusal
      },
    }
  },
}

export const renewing: Scenario = {
  name: 'renew',
  async lay(world) {
    const { ids, expected } = await hold(world, 'me')
    return { expected, operate: async () => void (await renewEntries(world.consumer.stream, world.path.place, 'me', ids)) }
  },
}

export const handingBack: Scenario = {
  name: 'hand back',
  async lay(world) {
    const { expected } = await hold(world, 'me')
    return {
      expected,
      operate: async () => void (await handBackEntries(world.consumer.stream, world.path.place, 'me', 60_000)),
    }
  },
}

export const reaping: Scenario = {
  name: 'reap',
  async lay(world) {
    const { path, consumer } = world
    const { expected } = await hold(world, owner.name)
    await path.stream.hset(path.place.keys.consumers, owner.name, owner.uid)
    const reap = async () =>
      await reapConsumer(consumer.stream, path.place, { ...owner, minIdleMs: 60_000, requireExpiredHeartbeat: true })
    return {
      expected,
      async operate() {
        const reaped = await reap()
        if (reaped.kind === 'Released' && reaped.refusal !== undefined) throw reaped.refusal
      },
      async problems() {
        await reap()
        return await standing(world, owner.name)
      },
    }
  },
}

/** Of a consumer that holds nothing any more. */
export const reapingEmpty: Scenario = {
  name: 'reap what holds nothing',
  async lay(world) {
    const { path, consumer } = world
    await path.stream.xgroup('CREATECONSUMER', path.place.stream, path.place.group, owner.name)
    await path.stream.hset(path.place.keys.consumers, owner.name, owner.uid)
    return {
      expected: { jobs: {} },
      async operate() {
        await reapConsumer(consumer.stream, path.place, { ...owner, minIdleMs: 60_000, requireExpiredHeartbeat: true })
      },
      problems: async () => await standing(world, owner.name),
    }
  },
}

export const retiring: Scenario = {
  name: 'retire',
  async lay(world) {
    const { path, consumer } = world
    await path.stream.xgroup('CREATECONSUMER', path.place.stream, path.place.group, 'me')
    await path.stream.hset(path.place.keys.consumers, 'me', owner.uid)
    await path.stream.set(path.place.keys.consumer('me'), '{}')
    return {
      expected: { jobs: {} },
      operate: async () => void (await retireConsumer(consumer.stream, path.place, 'me')),
      problems: async () => await standing(world, 'me'),
    }
  },
}

export const beating: Scenario = {
  name: 'heartbeat',
  async lay(world) {
    const { path, consumer } = world
    const { expected } = await hold(world, 'me')
    const reported = { uid: owner.uid, state: 'Running', inFlight: 0, serviceMs: 0, path: 'Atomic' }
    const counts = { forwarded: 0, duplicates: 0, dead: 0, reclaimed: 0 }
    return {
      expected,
      async operate() {
        const { held } = await sendHeartbeat(consumer.stream, path.place, 'me', { ...reported, ...counts })
        if (held !== 8) throw failure('Internal', { detail: `the heartbeat says ${held} are held, not 8` })
      },
      async problems() {
        const { keys } = path.place
        const [uid, beat, floor] = await Promise.all([
          path.stream.hget(keys.consumers, 'me'),
          path.stream.get(keys.consumer('me')),
          path.stream.hget(keys.stats, 'floor'),
        ])
        return uid === owner.uid && beat !== null && floor !== null ? [] : [`registry ${uid}, heartbeat ${beat}, floor ${floor}`]
      },
    }
  },
}

/** The remains of a name that should be gone. */
async function standing({ path }: World, name: string): Promise<readonly string[]> {
  const { stream, group, keys } = path.place
  const [consumers, uid, beat] = await Promise.all([
    path.stream.xinfo('CONSUMERS', stream, group),
    path.stream.hget(keys.consumers, name),
    path.stream.get(keys.consumer(name)),
  ])
  const names = (consumers as unknown[][]).map((row) => String(row[1]))
  return [
    ...(names.includes(name) ? [`${name} is still in the group`] : []),
    ...(uid === null ? [] : [`${name} is still in the registry`]),
    ...(beat === null ? [] : [`${name} still has a heartbeat`]),
  ]
}
