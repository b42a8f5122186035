/** The worth of a run: entries that waited longer than the target, replica-hours, turns. */
import { intensityAt, type Load } from './load.ts'
import type { Scenario } from './scenario.ts'
import type { Run } from './world.ts'

/** An entry is late when it was taken later than the target, or was not taken and is older. Poison is not counted. */
export function lateCount(scenario: Scenario, load: Load, run: Run): { readonly late: number; readonly entries: number } {
  const target = scenario.scaling.targetAgeMs / 1000
  let [late, entries] = [0, 0]
  for (let i = 0; i < load.arrivals.length; i++) {
    if (load.poisoned[i] === 1) continue
    entries++
    const waited = run.waits[i] as number
    const age = Number.isNaN(waited) ? scenario.duration - (load.arrivals[i] as number) : waited
    if (age > target) late++
  }
  return { late, entries }
}

export function lateShare(scenario: Scenario, load: Load, run: Run): number {
  const { late, entries } = lateCount(scenario, load, run)
  return entries === 0 ? 0 : late / entries
}

/** Changes of direction of a curve: up after down, or down after up. */
export function reversalsOf(curve: ArrayLike<number>): number {
  let [direction, turns] = [0, 0]
  for (let i = 1; i < curve.length; i++) {
    const change = Math.sign((curve[i] as number) - (curve[i - 1] as number))
    if (change === 0) continue
    if (direction !== 0 && change !== direction) turns++
    direction = change
  }
  return turns
}

/**
 * Changes of direction that the load itself makes. Its mean changes direction where it goes back by more than a fifth. A batch or a
 * redeployment's outage is one up and one down.
 */
export function loadReversals(scenario: Scenario): number {
  const { duration, redisOutages } = scenario
  let turns = 0
  let direction = 0
  let extreme = intensityAt(scenario, 0)
  for (let at = 1; at < duration; at++) {
    const now = intensityAt(scenario, at)
    if (direction >= 0 && now > extreme) [extreme, direction] = [now, 1]
    else if (direction <= 0 && now < extreme) [extreme, direction] = [now, -1]
    else if (direction >= 0 && now < extreme * 0.8) {
      if (direction > 0) turns++
      ;[extreme, direction] = [now, -1]
    } else if (direction <= 0 && now > extreme * 1.2) {
      if (direction < 0) turns++
      ;[extreme, direction] = [now, 1]
    }
  }
  const batches = scenario.arrivals.reduce(
    (sum, part) => sum + (part.kind === 'Batches' ? Math.max(0, Math.ceil((duration - (part.from ?? 0)) / part.every)) : 0),
    0,
  )
  return turns + 2 * batches + 2 * redisOutages.length
}

/** The most replicas that were asked for while none was ready. */
export function mostUnready({ desired, ready }: Run): number {
  let most = 0
  for (let at = 0; at < desired.length; at++) if (ready[at] === 0) most = Math.max(most, desired[at] as number)
  return most
}

export interface UselessPods {
  /** Settled entries divided by those that the cap allows, from five minutes after the overload began. */
  readonly throughput: number
  /** Mean number of requested replicas in that time, divided by the number that suffices for the cap. */
  readonly replicasOverUseful: number
}

const settleSeconds = 300

/** Only where something behind the consumers is the limit for the rest of the scenario. */
export function uselessPods(scenario: Scenario, run: Run): UselessPods | undefined {
  const cap = Math.min(scenario.downstream?.perSecond ?? Infinity, scenario.queue?.perSecond ?? Infinity)
  const overloadAt = firstOverload(scenario, cap)
  if (overloadAt === undefined) return undefined
  const from = overloadAt + settleSeconds
  const useful = Math.max(1, Math.ceil((cap * scenario.service.mean) / scenario.slots))
  let [settled, replicas] = [0, 0]
  for (let at = from; at < run.desired.length; at++) {
    settled += run.settled[at] as number
    replicas += run.desired[at] as number
  }
  const seconds = run.desired.length - from
  return { throughput: settled / seconds / cap, replicasOverUseful: replicas / seconds / useful }
}

function firstOverload(scenario: Scenario, cap: number): number | undefined {
  for (let at = 0; at < scenario.duration - 2 * settleSeconds; at++) {
    if (intensityAt(scenario, at) <= cap) continue
    for (let later = at; later < scenario.duration; later += 10) if (intensityAt(scenario, later) <= cap) return undefined
    return at
  }
  return undefined
}
