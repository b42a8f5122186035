/**
 * One boundary. It lays the scenario, lets a consumer run up to the boundary, kills it, and lets the worker execute the queued
 * jobs. A second consumer then finishes, the worker executes the rest, and the result is checked. If a run ends before its boundary
 * is reached, there are no more boundaries.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PathKind } from '../../../redis/settle/path.ts'
import type { RedisServer } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'
import { assemble } from './assemble.ts'
import { createScenario } from './scenario.ts'
import type { Victims } from './victim.ts'
import { type Boundary, type Cut, openWire } from './wire.ts'

export interface Crashes {
  readonly path: PathKind
  /** Undefined: the run ended before the boundary, and was checked as well. */
  at(boundary: Boundary): Promise<Cut | undefined>
  close(): Promise<void>
}

const patience = { timeoutMs: 60_000, intervalMs: 4 } as const

/** @param servers the stream's Redis and, for the split path, the queue's @param ownOptions whether entries carry options of their own */
export async function prepareCrashes(
  path: PathKind,
  servers: readonly RedisServer[],
  victims: Victims,
  ownOptions = false,
): Promise<Crashes> {
  const used = path === 'Split' ? servers.slice(0, 2) : servers.slice(0, 1)
  const clients = used.map((server) => server.client({ maxRetriesPerRequest: null }))
  const [stream, queue = stream] = clients
  if (stream === undefined || queue === undefined) throw new Error('a Redis is missing')
  const ports = used.map(({ port }) => port)
  const wire = await openWire(ports)
  const scenario = createScenario({ path, ownOptions }, stream, queue)

  const finish = async (name: string) => {
    let fault: unknown
    const { consumer } = assemble({ path, ports, name, ownOptions }, (thrown) => {
      fault ??= thrown
    })
    await consumer.start()
    await eventually(scenario.settled, patience)
    await consumer.stop(performance.now() + 2_000)
    if (fault !== undefined) throw fault
  }

  const runVictim = async (boundary: Boundary): Promise<Cut | undefined> => {
    const cut = wire.arm(boundary)
    const victim = await victims.start({ path, ports: wire.ports, name: 'first', ownOptions })
    const ended = new AbortController()
    try {
      const whole = (async () => {
        const found = await Promise.race([cut, eventually(scenario.settled, { ...patience, signal: ended.signal })])
        // Past the last entry the run still has its drain.
        if (found === true) await Promise.race([cut, victim.drain()])
        return undefined
      })()
      const outcome = await Promise.race([cut, whole])
      return outcome
    } finally {
      ended.abort()
      await victim.kill()
      await wire.disarm()
    }
  }

  return {
    path,
    async at(boundary) {
      await scenario.lay()
      const cut = await runVictim(boundary)
      await scenario.execute(false)
      // A restarted container keeps its name; another pod has its own.
      await finish(boundary.index % 3 === 0 ? 'first' : 'second')
      await scenario.execute(true)
      await scenario.check()
      // Lets connections of the last consumer close before the next one starts.
      await sleep(0)
      return cut
    },
    async close() {
      await wire.close()
      await scenario.close()
    },
  }
}
