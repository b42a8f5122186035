/**
 * The simulated cluster. Time goes second by second for what a control loop sees (replicas, outages, decisions); within a
 * second entries are taken in order by whichever slot is free first, at their exact times, which is what a consumer group does.
 *
 * A controller is asked every so many seconds and gets what it would get in life: a sample as observe makes it, or none.
 */

import type { Load } from './load.ts'
import { census, isServing, type Pod } from './pods.ts'
import type { Backlog } from './queue.ts'
import { advance, createBacklog, deliverAgain, orphanedOf, quarantinedOf } from './queue.ts'
import { createRandom, exponential } from './random.ts'
import type { Scenario } from './scenario.ts'
import { addSlot, createSlots, dropFirst, putBackFirst, rebuild, type Slots } from './slots.ts'

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
  /** Entries that wait and nobody was given. */
  readonly undelivered: number
  /** Seconds. */
  readonly oldestAge: number
  readonly orphaned: number
  readonly quarantined: number
  /** Pending entries, quarantined ones included. */
  readonly pending: number
  /** A rollout is under way. */
  readonly updating: boolean
  /** Counts what ended by now into the replicas' counters. */
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
  /** Age of the oldest entry nobody was given, by second. */
  readonly ages: Float32Array
  /** Entries settled, by second. */
  readonly settled: Int32Array
}

/** Until the operator has seen that a replica is gone and handed its entries on. */
const reapSeconds = 5

export function simulate(scenario: Scenario, load: Load, controller: Controller, seed: number): Run {
  const { duration, scaling, startUp, crashes, poison, downstream, queue, redisOutages, metricsOutages } = scenario
  const random = createRandom(seed, 'cluster')
  const faults = drawFaults(scenario, seed)
  const slots = createSlots()
  const backlog = createBacklog()
  let pods: Pod[] = []
  let podCount = 0
  let version = 0
  let desired = scenario.initialReplicas ?? scaling.minReplicas
  let grantedAt = 0
  let queued = 0
  let queueAt = 0
  let inFlight = 0
  let replicaSeconds = 0
  let pace = census(pods, version)
  const seconds = Math.ceil(duration)
  const waits = new Float32Array(load.arrivals.length).fill(Number.NaN)
  const run = {
    waits,
    desired: new Int16Array(seconds),
    ready: new Int16Array(seconds),
    ages: new Float32Array(seconds),
    settled: new Int32Array(seconds),
  }

  function startPod(at: number, afterSeconds = startUp.mean * (1 + startUp.jitter * (2 * random() - 1))): void {
    const readyAt = startOf(scenario, at) + afterSeconds
    pods.push({
      id: podCount++,
      readyAt,
      version,
      state: 'Starting',
      slots: [],
      crashAt: crashes === undefined ? Number.POSITIVE_INFINITY : readyAt + crashes.every * exponential(random),
      settled: 0,
      serviceMs: 0,
    })
  }

  /** An entry's end, noticed late but with its own numbers. */
  function settleSlot(slot: number): void {
    const took = slots.took[slot] as number
    if (took < 0) return
    slots.took[slot] = -1
    inFlight--
    const entry = slots.entry[slot] as number
    const pod = slots.pod[slot] as Pod
    const endedAt = slots.freeAt[slot] as number
    if (load.poisoned[entry] === 1 && poison !== undefined) {
      const deliveries = backlog.deliveries.get(entry) ?? 0
      if (deliveries < poison.maxDeliveries) {
        deliverAgain(backlog, { entry, readyAt: endedAt + poison.minIdle, orphaned: false })
        return
      }
      backlog.deliveries.delete(entry)
      backlog.dead++
    }
    const second = Math.floor(endedAt)
    if (second < seconds) run.settled[second] = (run.settled[second] as number) + 1
    pod.settled++
    // As the consumer tells it: a mean over its entries, a moving one after 500 of them.
    pod.serviceMs += (took * 1000 - pod.serviceMs) / Math.min(500, pod.settled)
  }

  function settleUntil(at: number): void {
    for (const pod of pods) {
      for (const slot of pod.slots) if ((slots.freeAt[slot] as number) <= at) settleSlot(slot)
    }
  }

  /** What a vanished replica was working on is delivered again. */
  function crash(pod: Pod, at: number): void {
    for (const slot of pod.slots) {
      if ((slots.freeAt[slot] as number) <= at) settleSlot(slot)
      if ((slots.took[slot] as number) < 0) continue
      slots.took[slot] = -1
      inFlight--
      deliverAgain(backlog, { entry: slots.entry[slot] as number, readyAt: at + reapSeconds, orphaned: true })
    }
    pod.state = 'Gone'
  }

  function turnPods(at: number): void {
    if (at < pace.dueAt && pace.draining === 0) return
    for (const pod of pods) {
      if (pod.state === 'Starting' && pod.readyAt <= at) {
        pod.state = 'Running'
        for (let i = 0; i < scenario.slots; i++) pod.slots.push(addSlot(slots, pod, at))
      }
      if (pod.state === 'Running' && pod.crashAt <= at) crash(pod, at)
      if (pod.state === 'Draining' && pod.slots.every((slot) => (slots.freeAt[slot] as number) <= at)) {
        for (const slot of pod.slots) settleSlot(slot)
        pod.state = 'Gone'
      }
    }
    pods = pods.filter((pod) => pod.state !== 'Gone')
    pace = census(pods, version)
  }

  const busy = (pod: Pod, at: number) => pod.slots.reduce((sum, slot) => sum + ((slots.freeAt[slot] as number) > at ? 1 : 0), 0)

  /** The Deployment: as many as desired, those with least to lose go first; in a rollout a quarter more, then the old ones. */
  function reconcile(at: number): void {
    if (pace.old === 0 && pace.serving === desired) return
    replace(at)
    pace = census(pods, version)
  }

  function replace(at: number): void {
    const serving = pods.filter(isServing)
    const old = serving.filter((pod) => pod.version < version)
    const surge = old.length === 0 ? 0 : Math.min(old.length, Math.max(1, Math.ceil(desired / 4)))
    for (let count = serving.length; count < desired + surge; count++) startPod(at)
    const readyNow = serving.filter((pod) => pod.state === 'Running').length
    let excess = old.length === 0 ? serving.length - desired : Math.min(old.length, readyNow - desired)
    if (excess <= 0) return
    const leaving = (old.length === 0 ? serving : old)
      .map((pod) => ({ pod, weight: pod.state === 'Starting' ? -1 : busy(pod, at) }))
      .sort((a, b) => a.weight - b.weight || b.pod.id - a.pod.id)
    for (const { pod } of leaving) {
      if (excess-- <= 0) break
      pod.state = pod.state === 'Starting' ? 'Gone' : 'Draining'
    }
  }

  function assign(slot: number, entry: number, start: number): void {
    if ((slots.took[slot] as number) >= 0) settleSlot(slot)
    let end = start + (load.services[entry] as number)
    if (downstream !== undefined) {
      grantedAt = Math.max(grantedAt, start) + 1 / downstream.perSecond
      end = Math.max(end, grantedAt)
    }
    if (load.poisoned[entry] === 1) backlog.deliveries.set(entry, (backlog.deliveries.get(entry) ?? 0) + 1)
    if (queue !== undefined) queued++
    waits[entry] = start - (load.arrivals[entry] as number)
    slots.entry[slot] = entry
    slots.took[slot] = end - start
    inFlight++
    putBackFirst(slots, end)
  }

  /** When the queue has room, at the earliest. */
  function roomAt(start: number): number {
    if (queue === undefined) return start
    queued = Math.max(0, queued - (start - queueAt) * queue.perSecond)
    queueAt = start
    return queued < queue.maxWaiting ? start : start + (queued - queue.maxWaiting + 1) / queue.perSecond
  }

  /** Nothing is taken before `from`, whatever was free or ready while nobody could take it. */
  function serve(from: number, until: number): void {
    const { arrivals } = load
    for (;;) {
      while (slots.size > 0 && (slots.pod[slots.heap[0] as number] as Pod).state !== 'Running') dropFirst(slots)
      if (slots.size === 0) return
      const slot = slots.heap[0] as number
      const free = Math.max(from, slots.keys[0] as number)
      if (free >= until) return
      const again = backlog.again[0]
      const fresh = backlog.head < arrivals.length ? (arrivals[backlog.head] as number) : Number.POSITIVE_INFINITY
      const takesAgain = again !== undefined && again.readyAt <= Math.max(free, fresh)
      const ready = Math.max(free, takesAgain ? again.readyAt : fresh)
      // The queue is asked about the present second only: it is emptied as far as it was asked about.
      if (ready >= until) return
      const start = roomAt(ready)
      if (start >= until) return
      const entry = takesAgain ? again.entry : backlog.head
      if (takesAgain) backlog.again.shift()
      else backlog.head++
      assign(slot, entry, start)
    }
  }

  /** What runs when Redis goes is settled when it is back. */
  function stall(from: number, until: number): void {
    for (let slot = 0; slot < slots.count; slot++) {
      const free = slots.freeAt[slot] as number
      if (free < until && (slots.took[slot] as number) >= 0 && free > from) slots.freeAt[slot] = until + random()
    }
    rebuild(slots)
  }

  for (let i = 0; i < desired; i++) startPod(0, 0)
  pace = census(pods, version)
  for (let at = 0; at < seconds; at++) {
    const outage = redisOutages.find(({ from, lasting }) => at >= from && at < from + lasting)
    if (outage !== undefined && at === Math.ceil(outage.from)) stall(at, outage.from + outage.lasting)
    if (scenario.rollouts.some((begins) => Math.floor(begins) === at)) pace = census(pods, ++version)
    advance(backlog, load, at)
    turnPods(at)
    const undelivered = backlog.added - backlog.head
    const { ready } = pace
    if (at % controller.every === 0) {
      const hidden = metricsOutages.some(({ from, lasting }) => at >= from && at < from + lasting)
      const isFault = faults.some(([from, until]) => at >= from && at < until)
      roomAt(at)
      desired = controller.decide({
        at,
        visible: outage === undefined && !hidden && !isFault,
        backlog,
        load,
        pods,
        slots,
        desired,
        ready,
        queueWaiting: Math.round(queued),
        undelivered,
        oldestAge: undelivered === 0 ? 0 : at - (load.arrivals[backlog.head] as number),
        get orphaned() {
          return orphanedOf(backlog, at)
        },
        get quarantined() {
          return quarantinedOf(backlog)
        },
        get pending() {
          return inFlight + backlog.again.length
        },
        updating: pods.some((pod) => pod.version < version),
        settle: () => settleUntil(at),
      })
    }
    reconcile(at)
    run.desired[at] = desired
    run.ready[at] = ready
    run.ages[at] = undelivered === 0 ? 0 : at - (load.arrivals[backlog.head] as number)
    replicaSeconds += pods.length
    if (outage === undefined) serve(at, at + 1)
  }
  settleUntil(seconds)
  return { ...run, replicaSeconds }
}

/** When a replica that is asked for at that time begins to start. */
function startOf({ stuckStarts }: Scenario, at: number): number {
  const stuck = stuckStarts.find(({ from, lasting }) => at >= from && at < from + lasting)
  return stuck === undefined ? at : stuck.from + stuck.lasting
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
