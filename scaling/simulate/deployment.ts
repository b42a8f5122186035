/**
 * The simulated Deployment: replicas start, run, drain and crash. The number follows the desired one. Replicas with least to lose go first.
 * In a rollout a quarter more are started, then the old ones go.
 */
import type { Cluster } from './cluster.ts'
import { census, isServing, type Pod } from './pods.ts'
import { deliverAgain } from './queue.ts'
import { exponential } from './random.ts'
import type { Scenario } from './scenario.ts'
import { settleSlot } from './serving.ts'
import { addSlot } from './slots.ts'

/** Until the operator has seen that a replica is gone and handed its entries on. */
const reapSeconds = 5

/** @param afterSeconds default: drawn from the scenario's start-up time */
export function startPod(cluster: Cluster, at: number, afterSeconds?: number): void {
  const { scenario, random } = cluster
  const { startUp, crashes } = scenario
  const takes = afterSeconds ?? startUp.mean * (1 + startUp.jitter * (2 * random() - 1))
  const readyAt = startOf(scenario, at) + takes
  cluster.pods.push({
    id: cluster.podCount++,
    readyAt,
    version: cluster.version,
    state: 'Starting',
    slots: [],
    crashAt: crashes === undefined ? Number.POSITIVE_INFINITY : readyAt + crashes.every * exponential(random),
    settled: 0,
    serviceMs: 0,
  })
}

/** The entries in flight of a vanished replica are delivered again. */
function crash(cluster: Cluster, pod: Pod, at: number): void {
  const { slots, backlog } = cluster
  for (const slot of pod.slots) {
    if ((slots.freeAt[slot] as number) <= at) settleSlot(cluster, slot)
    if ((slots.took[slot] as number) < 0) continue
    slots.took[slot] = -1
    cluster.inFlight--
    deliverAgain(backlog, { entry: slots.entry[slot] as number, readyAt: at + reapSeconds, orphaned: true })
  }
  pod.state = 'Gone'
}

/** Moves replicas to the states that they have at that time. */
export function turnPods(cluster: Cluster, at: number): void {
  if (at < cluster.pace.dueAt && cluster.pace.draining === 0) return
  const { slots, scenario } = cluster
  for (const pod of cluster.pods) {
    if (pod.state === 'Starting' && pod.readyAt <= at) {
      pod.state = 'Running'
      for (let i = 0; i < scenario.slots; i++) pod.slots.push(addSlot(slots, pod, at))
    }
    if (pod.state === 'Running' && pod.crashAt <= at) crash(cluster, pod, at)
    if (pod.state === 'Draining' && pod.slots.every((slot) => (slots.freeAt[slot] as number) <= at)) {
      for (const slot of pod.slots) settleSlot(cluster, slot)
      pod.state = 'Gone'
    }
  }
  cluster.pods = cluster.pods.filter((pod) => pod.state !== 'Gone')
  countPods(cluster)
}

export function countPods(cluster: Cluster): void {
  cluster.pace = census(cluster.pods, cluster.version)
}

export function reconcile(cluster: Cluster, at: number): void {
  if (cluster.pace.old === 0 && cluster.pace.serving === cluster.desired) return
  replace(cluster, at)
  countPods(cluster)
}

function replace(cluster: Cluster, at: number): void {
  const { desired, version } = cluster
  const serving = cluster.pods.filter(isServing)
  const old = serving.filter((pod) => pod.version < version)
  const surge = old.length === 0 ? 0 : Math.min(old.length, Math.max(1, Math.ceil(desired / 4)))
  for (let count = serving.length; count < desired + surge; count++) startPod(cluster, at)
  const readyNow = serving.filter((pod) => pod.state === 'Running').length
  let excess = old.length === 0 ? serving.length - desired : Math.min(old.length, readyNow - desired)
  if (excess <= 0) return
  const leaving = (old.length === 0 ? serving : old)
    .map((pod) => ({ pod, weight: pod.state === 'Starting' ? -1 : busy(cluster, pod, at) }))
    .sort((a, b) => a.weight - b.weight || b.pod.id - a.pod.id)
  for (const { pod } of leaving) {
    if (excess-- <= 0) break
    pod.state = pod.state === 'Starting' ? 'Gone' : 'Draining'
  }
}

function busy({ slots }: Cluster, pod: Pod, at: number): number {
  return pod.slots.reduce((sum, slot) => sum + ((slots.freeAt[slot] as number) > at ? 1 : 0), 0)
}

/** When a replica that is asked for at that time begins to start. */
function startOf({ stuckStarts }: Scenario, at: number): number {
  const stuck = stuckStarts.find(({ from, lasting }) => at >= from && at < from + lasting)
  return stuck === undefined ? at : stuck.from + stuck.lasting
}
