/** Failed jobs captured, and dead letters replayed. */
import { createSweeper } from '../../../../redis/deadletters/capture.ts'
import { createDeadLetters } from '../../../../redis/deadletters/replay.ts'
import type { World } from '../rig.ts'
import { failJob, type Scenario } from '../scene.ts'
import { consumeNew } from '../worker.ts'

const sweeperOf = ({ path, consumer }: World) => createSweeper({ ...consumer, codec: path.codec })

/** Jobs that failed: one that nothing holds, one with a parent, one with children, one whose entry is gone. */
async function layFailed(world: World): Promise<readonly string[]> {
  const { path } = world
  const keys = ['free', 'child', 'parent', 'cut']
  const ids = await path.putKeys(...keys)
  await consumeNew(world)
  // Of different times, so that each run takes them in the same order.
  const now = Date.now()
  await failJob(world, 'free', now)
  await failJob(world, 'child', now + 1, { parentKey: `${path.queueKey}other` })
  await failJob(world, 'parent', now + 2)
  await path.queueClient.sadd(`${path.jobKey('parent')}:dependencies`, `${path.queueKey}another`)
  await failJob(world, 'cut', now + 3)
  await path.stream.xdel(path.place.stream, ids[3] ?? '')
  return keys
}

export const capturing: Scenario = {
  name: 'capture failed jobs',
  async lay(world) {
    const { path, kind } = world
    const keys = await layFailed(world)
    const sweeper = sweeperOf(world)
    return {
      expected: { jobs: {}, records: keys.map((key) => `JobFailed ${key}`) },
      operate: async () => void (await sweeper.sweep()),
      async problems() {
        const failed = await path.queueClient.zrange(`${path.queueKey}failed`, '0', '-1')
        const kept = kind === 'Portable' ? keys : ['child', 'parent']
        const wrong = keys.filter((key) => failed.includes(path.id(key)) !== kept.includes(key))
        return wrong.map((key) => `job ${key} is ${kept.includes(key) ? 'removed' : 'kept'}`)
      },
    }
  },
}

/** A record without a key, one of a job that never was, one of a job that is gone, and two of jobs that are still kept. */
export const replaying: Scenario = {
  name: 'replay dead letters',
  served: true,
  async lay(world) {
    const { path, consumer } = world
    await path.put('k', 'twice', 'k', 'twice', 'label', 'broken')
    const [worn = ''] = await path.putKeys('worn')
    const entries = await path.read()
    await path.deliver(worn, path.pipeline.delivery.maxDeliveries + 1)
    await consumer.path.settle(entries.map(path.judge))
    const keys = await layFailed(world)
    await sweeperOf(world).sweep()
    const ids = (await path.dead()).map(({ id }) => id)
    const deadLetters = createDeadLetters(consumer)
    return {
      expected: {
        jobs: { worn: 1, ...Object.fromEntries(keys.map((key) => [key, 1])) },
        records: ['InvalidPayload twice'],
      },
      async operate() {
        for (const id of ids) {
          const record = await deadLetters.show(id)
          if (record !== undefined) await deadLetters.replay(record)
        }
      },
      async problems() {
        const left = (await path.dead()).filter(({ id }) => ids.includes(id))
        return left.map(({ id, reason }) => `the record ${id} (${reason}) is still there`)
      },
    }
  },
}
