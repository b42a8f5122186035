/**
 * The simulated cluster. Time goes second by second for all that a control loop sees: replicas, outages, decisions. Within a
 * second, the slot that is free first takes entries in order, at their exact times, as in a consumer group.
 *
 * A controller is asked every so many seconds and gets what it would get in life: a sample as observe makes it, or none.
 */

import { type Cluster, createCluster } from './cluster.ts'
import { countPods, reconcile, startPod, turnPods } from './deployment.ts'
import type { Load } from './load.ts'
import type { Pod } from './pods.ts'
import type { Backlog } from './queue.ts'
import { advance, orphanedOf, quarantinedOf } from './queue.ts'
import { createRandom, exponential } from './random.ts'
import type { Scenario } from './scenario.ts'
import { roomAt, serve, settleUntil, stall } from './serving.ts'
import type { Slots } from './slots.ts'

export interface View {
  /** Seconds since the start. */
  readonly at: number
  /** False while metrics cannot be had. */
  readonly visible: boolean
  readonly backlog: Backlog
  readonly load: Load
  readonly pods: readonly Pod[]
  readonly slots: Slots
  readonly desired: number
  readonly ready: number
  readonly queueWaiting: number
  /** Entries that wait and were not delivered. */
  readonly undelivered: number
  /** Seconds. */
  readonly oldestAge: number
  readonly orphaned: number
  readonly quarantined: number
  /** Pending entries, quarantined ones included. */
  readonly pending: number
  /** A rollout is under way. */
  readonly updating: boolean
  /** Counts the entries that ended by now into the replicas' counters. */
  settle(): void
}

export interface Controller {
  readonly every: number
  /** @returns replicas from now on */
  decide(view: View): number
}

export interface Run {
  /** Seconds each entry waited until it was taken for the last time; NaN: not taken before the end. */
  readonly waits: Float32Array
  readonly replicaSeconds: number
  /** By second. */
  readonly desired: Int16Array
  readonly ready: Int16Array
  /** Age of the oldest entry that was not delivered, by second. */
  readonly ages: Float32Array
  /** Entries settled, by second. */
  readonly settled: Int32Array
}

export function simulate(scenario: Scenario, load: Load, controller: Controller, seed: number): Run {
  const seconds = Math.ceil(scenario.duration)
  const isHidden = hiddenBy(scenario, seed)
  const cluster = createCluster(scenario, load, seed)
  const { backlog, waits, settled } = cluster
  const desired = new Int16Array(seconds)
  const ready = new Int16Array(seconds)
  const ages = new Float32Array(seconds)
  let replicaSeconds = 0
  for (let i = 0; i < cluster.desired; i++) startPod(cluster, 0, 0)
  countPods(cluster)
  for (let at = 0; at < seconds; at++) {
    const outage = scenario.redisOutages.find((each) => isWithin(each, at))
    if (outage !== undefined && at === Math.ceil(outage.from)) stall(cluster, at, outage.from + outage.lasting)
    if (scenario.rollouts.some((begins) => Math.floor(begins) === at)) {
      cluster.version++
      countPods(cluster)
    }
    advance(backlog, load, at)
    turnPods(cluster, at)
    const readyNow = cluster.pace.ready
    const oldestAge = oldestAgeOf(cluster, at)
    if (at % controller.every === 0) {
      roomAt(cluster, at)
      cluster.desired = controller.decide(viewOf(cluster, at, outage === undefined && !isHidden(at)))
    }
    reconcile(cluster, at)
    desired[at] = cluster.desired
    ready[at] = readyNow
    ages[at] = oldestAge
    replicaSeconds += cluster.pods.length
    if (outage === undefined) serve(cluster, at, at + 1)
  }
  settleUntil(cluster, seconds)
  return { waits, desired, ready, ages, settled, replicaSeconds }
}

interface Outage {
  readonly from: number
  readonly lasting: number
}

const isWithin = ({ from, lasting }: Outage, at: number) => at >= from && at < from + lasting

function oldestAgeOf({ backlog, load }: Cluster, at: number): number {
  return backlog.added === backlog.head ? 0 : at - (load.arrivals[backlog.head] as number)
}

function viewOf(cluster: Cluster, at: number, visible: boolean): View {
  const { backlog, load, pods, slots, desired, version } = cluster
  return {
    at,
    visible,
    backlog,
    load,
    pods,
    slots,
    desired,
    ready: cluster.pace.ready,
    queueWaiting: Math.round(cluster.queued),
    undelivered: backlog.added - backlog.head,
    oldestAge: oldestAgeOf(cluster, at),
    get orphaned() {
      return orphanedOf(backlog, at)
    },
    get quarantined() {
      return quarantinedOf(backlog)
    },
    get pending() {
      return cluster.inFlight + backlog.again.length
    },
    updating: pods.some((pod) => pod.version < version),
    settle: () => settleUntil(cluster, at),
  }
}

/** Whether metrics are away at that time, by an outage of the scenario or by chance. */
function hiddenBy(scenario: Scenario, seed: number): (at: number) => boolean {
  const faults = drawFaults(scenario, seed)
  return (at) =>
    scenario.metricsOutages.some((each) => isWithin(each, at)) || faults.some(([from, until]) => at >= from && at < until)
}

/** Stretches during which metrics are away: three in four one tick long, the others up to a minute. */
function drawFaults({ metricFaults, duration }: Scenario, seed: number): (readonly [number, number])[] {
  if (metricFaults === undefined) return []
  const random = createRandom(seed, 'faults')
  const faults: [number, number][] = []
  for (let at = 0; at < duration; ) {
    at += metricFaults.every * exponential(random)
    const lasting = random() < 0.75 ? 5 : 5 + random() * 55
    faults.push([at, at + lasting])
    at += lasting
  }
  return faults
}
