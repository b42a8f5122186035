/**
 * One batch with an entry for each way in which an entry can end; and Direct dispatch, which meets the same jobs without a
 * stream.
 */

import type { World } from '../rig.ts'
import { existingJob, type Scenario } from '../scene.ts'
import { expireLocks, settleAll } from '../worker.ts'

async function layJobs(world: World): Promise<void> {
  const { path } = world
  const { windowMs } = path.target
  await path.queueClient.set(path.mark('marked'), '1-1', 'PX', windowMs)
  await existingJob(world, 'waiting', 'live')
  await existingJob(world, 'retained', 'completed')
  await existingJob(world, 'outlived', 'completed', Date.now() - 2 * windowMs)
  await existingJob(world, 'outfailed', 'failed', Date.now() - 2 * windowMs)
  await existingJob(world, 'orphan', 'hanging')
  await path.queueClient.set(path.jobKey('foreign'), 'no job')
}

const jobs = { first: 1, twin: 1, marked: 0, waiting: 1, retained: 0, outlived: 1, outfailed: 1, orphan: 1, last: 1 }
const marks = Object.keys(jobs)
const keys = ['first', 'twin', 'marked', 'waiting', 'retained', 'outlived', 'outfailed', 'orphan']

export const settling: Scenario = {
  name: 'settle a batch',
  variants: ['plain', 'delayed', 'prioritised', 'lifo'],
  served: true,
  async lay(world) {
    const { path, consumer } = world
    await layJobs(world)
    await path.putKeys(...keys, 'foreign', 'worn')
    const broken = await path.put('k', 'twice', 'k', 'twice', 'label', 'broken')
    await path.putKeys('trimmed', 'twin')
    const cut = await path.put('other', 'x', 'other', 'y')
    await path.putKeys('last')
    const entries = await path.read()
    const idOf = (key: string) => entries.find(({ fields }) => String((fields as readonly Buffer[])[1]) === key)?.id ?? ''
    await path.deliver(idOf('worn'), path.pipeline.delivery.maxDeliveries + 1)
    await path.stream.xdel(path.place.stream, idOf('trimmed'), cut)
    let again = false
    return {
      spared: ['waiting'],
      keys: ['foreign', 'worn'],
      labels: new Map([
        [broken, 'broken'],
        [cut, 'cut'],
      ]),
      expected: {
        jobs: { ...jobs, trimmed: 1 },
        marks: [...marks, 'trimmed'],
        records: ['SinkRejected foreign', 'MaxDeliveries worn', 'InvalidPayload broken', 'InvalidPayload cut'],
      },
      async operate() {
        if (again) return await settleAll(world, entries)
        again = true
        const { failure } = await consumer.path.settle(entries.map(path.judge))
        if (failure !== undefined) throw failure
      },
    }
  },
}

export const dispatchingDirectly: Scenario = {
  name: 'dispatch directly',
  served: true,
  async lay(world) {
    await layJobs(world)
    return {
      spared: ['waiting'],
      keys: ['foreign', 'worn'],
      expected: { jobs, marks },
      async operate() {
        await expireLocks(world)
        await world.direct.forward(...keys, 'twin', 'foreign', 'last')
      },
    }
  },
}

/** A single entry: the add of another job could repair what the refused add left out, such as BullMQ's marker. */
const settlingOne = (state: 'fresh' | 'outlived' | 'hanging'): Scenario => ({
  name: `settle one ${state} entry`,
  variants: ['plain', 'delayed', 'prioritised', 'lifo'],
  served: true,
  async lay(world) {
    const { path, consumer } = world
    if (state === 'outlived') await existingJob(world, 'one', 'completed', Date.now() - 2 * path.target.windowMs)
    if (state === 'hanging') await existingJob(world, 'one', 'hanging')
    // BullMQ's adding of the existing job has left it.
    if (state !== 'fresh') await path.queueClient.del(`${path.queueKey}marker`)
    await path.putKeys('one')
    const entries = await path.read()
    return {
      expected: { jobs: { one: 1 }, marks: ['one'] },
      async operate() {
        const { failure } = await consumer.path.settle(entries.map(path.judge))
        if (failure !== undefined) throw failure
      },
    }
  },
})

export const settlingEachAlone = [settlingOne('fresh'), settlingOne('outlived'), settlingOne('hanging')]

export const refusedByBull: Scenario = {
  name: 'settle what BullMQ refuses',
  variants: ['refused'],
  async lay(world) {
    const { path, consumer } = world
    await path.putKeys('a', 'b', 'a')
    const entries = await path.read()
    return {
      expected: { jobs: {}, records: ['SinkRejected a', 'SinkRejected a', 'SinkRejected b'] },
      async operate() {
        const { failure } = await consumer.path.settle(entries.map(path.judge))
        if (failure !== undefined) throw failure
      },
    }
  },
}
