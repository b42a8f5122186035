/** The lock of the worker's wrapper. */
import { acquireExecution, releaseExecution, renewExecution } from '../../../../redis/scripts/generated.ts'
import type { World } from '../rig.ts'
import type { Scenario } from '../scene.ts'

const token = 'mine'

/**
 * The lock has the slot and the prefix of the marks, so that the consumer's rights cover it. A real worker has the application's
 * user.
 */
const lockOf = ({ path }: World) => `${path.target.keys.prefix}exec:job`

function locking(
  name: string,
  held: boolean,
  call: (world: World, lock: string) => Promise<unknown>,
  left: string | null,
): Scenario {
  return {
    name,
    grants: ['+pexpire'],
    async lay(world) {
      const lock = lockOf(world)
      const { queueClient } = world.path
      if (held) await queueClient.set(lock, token, 'PX', 60_000)
      return {
        expected: { jobs: {} },
        operate: async () => void (await call(world, lock)),
        async problems() {
          const holds = await queueClient.get(lock)
          return holds === left ? [] : [`the lock holds ${holds}, not ${left}`]
        },
      }
    },
  }
}

const times = { token, ttlMs: 60_000 }

export const executionLocks: readonly Scenario[] = [
  locking(
    'take the execution lock',
    false,
    async ({ consumer }, lock) => await acquireExecution(consumer.queue, { lock }, times),
    token,
  ),
  locking('take it again', true, async ({ consumer }, lock) => await acquireExecution(consumer.queue, { lock }, times), token),
  locking('renew it', true, async ({ consumer }, lock) => await renewExecution(consumer.queue, { lock }, times), token),
  locking('release it', true, async ({ consumer }, lock) => await releaseExecution(consumer.queue, { lock }, { token }), null),
]
