/**
 * The faults of a trial, at random from a seed:
 *
 * - A consumer gets SIGKILL.
 * - A consumer is frozen (SIGSTOP) until others have its entries, and every lock has expired. In every third case its heartbeat
 *   has expired, too. It then goes on with the batch in its memory.
 * - A Redis gets SIGKILL and comes back over its append-only file.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../test/support/redis.ts'
import type { Fleet } from './fleet.ts'

export interface FaultCounts {
  consumersKilled: number
  consumersFrozen: number
  redisKilled: number
}

export interface FaultPlan {
  readonly forMs: number
  /** Faults that must have happened, even if it takes longer. */
  readonly atLeast?: number
  /** Pause between two faults. */
  readonly pauseMs: readonly [least: number, most: number]
  /** How long a consumer is frozen: past minIdle and lockTTL; past the heartbeat. */
  readonly frozenMs: readonly [short: number, long: number]
  readonly redisDownMs: readonly [least: number, most: number]
}

export async function injectFaults(
  plan: FaultPlan,
  fleet: Fleet,
  servers: readonly RedisServer[],
  random: () => number,
  progress: (line: string) => void,
): Promise<FaultCounts> {
  const counts: FaultCounts = { consumersKilled: 0, consumersFrozen: 0, redisKilled: 0 }
  const between = ([least, most]: readonly [number, number]) => least + (most - least) * random()
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)]
  const thaw = (now: number) => {
    for (const member of fleet.members) {
      if (member.stoppedUntil === undefined || member.stoppedUntil > now) continue
      member.process.signal('SIGCONT')
      member.stoppedUntil = undefined
    }
  }
  const endsAt = performance.now() + plan.forMs
  const happened = () => counts.consumersKilled + counts.consumersFrozen + counts.redisKilled
  const awake = () => fleet.members.filter(({ stoppedUntil }) => stoppedUntil === undefined)

  while (performance.now() < endsAt || happened() < (plan.atLeast ?? 0)) {
    await sleep(between(plan.pauseMs))
    thaw(performance.now())
    const chance = random()
    const member = pick(awake())
    if (chance < 0.5 && member !== undefined) {
      progress(`SIGKILL ${member.name}`)
      await fleet.replace(member, random() < 0.5)
      counts.consumersKilled += 1
    } else if (chance < 0.75 && member !== undefined && awake().length > 1) {
      const [short, long] = plan.frozenMs
      const frozenMs = counts.consumersFrozen % 3 === 2 ? long : short
      progress(`SIGSTOP ${member.name} for ${frozenMs} ms`)
      member.process.signal('SIGSTOP')
      member.stoppedUntil = performance.now() + frozenMs
      counts.consumersFrozen += 1
    } else if (chance >= 0.75) {
      const server = pick(servers)
      if (server === undefined) continue
      progress(`SIGKILL redis-server ${server.port}`)
      await server.kill('SIGKILL')
      await sleep(between(plan.redisDownMs))
      await server.start()
      counts.redisKilled += 1
    }
  }
  // Frozen consumers are woken after their full time: their actions then are the point of the trial.
  for (const { stoppedUntil } of fleet.members) {
    if (stoppedUntil !== undefined) await sleep(Math.max(0, Math.min(stoppedUntil - performance.now(), plan.frozenMs[0])))
  }
  thaw(Number.POSITIVE_INFINITY)
  return counts
}
