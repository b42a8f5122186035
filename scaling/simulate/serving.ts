/**
 * The work of the simulated replicas. Within a second, entries are taken in order by the slot that is free first, at their exact times, as in
 * a consumer group.
 *
 * An entry is waiting in the backlog until `serve` assigns it to a slot. It is in flight until its slot is settled: when the slot takes the
 * next entry, when its replica drains or crashes, or when a controller looks. A poisoned entry, and one of a crashed replica, goes back to the
 * backlog.
 */
import type { Cluster } from './cluster.ts'
import type { Pod } from './pods.ts'
import { deliverAgain } from './queue.ts'
import { dropFirst, putBackFirst, rebuild } from './slots.ts'

/** Settles the entry of a slot. The call comes later than the entry's end, but counts it at the true time of that end. */
export function settleSlot(cluster: Cluster, slot: number): void {
  const { slots, backlog, load, settled } = cluster
  const { poison } = cluster.scenario
  const took = slots.took[slot] as number
  if (took < 0) return
  slots.took[slot] = -1
  cluster.inFlight--
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
  if (second < settled.length) settled[second] = (settled[second] as number) + 1
  pod.settled++
  // As the consumer reports it: a mean over its entries, a moving one after 500 of them.
  pod.serviceMs += (took * 1000 - pod.serviceMs) / Math.min(500, pod.settled)
}

/** Counts the entries that ended by now into the replicas' counters. */
export function settleUntil(cluster: Cluster, at: number): void {
  const { slots } = cluster
  for (const pod of cluster.pods) {
    for (const slot of pod.slots) if ((slots.freeAt[slot] as number) <= at) settleSlot(cluster, slot)
  }
}

function assign(cluster: Cluster, slot: number, entry: number, start: number): void {
  const { slots, load, backlog } = cluster
  const { downstream, queue } = cluster.scenario
  if ((slots.took[slot] as number) >= 0) settleSlot(cluster, slot)
  let end = start + (load.services[entry] as number)
  if (downstream !== undefined) {
    cluster.grantedAt = Math.max(cluster.grantedAt, start) + 1 / downstream.perSecond
    end = Math.max(end, cluster.grantedAt)
  }
  if (load.poisoned[entry] === 1) backlog.deliveries.set(entry, (backlog.deliveries.get(entry) ?? 0) + 1)
  if (queue !== undefined) cluster.queued++
  cluster.waits[entry] = start - (load.arrivals[entry] as number)
  slots.entry[slot] = entry
  slots.took[slot] = end - start
  cluster.inFlight++
  putBackFirst(slots, end)
}

/** When the queue has room, at the earliest. */
export function roomAt(cluster: Cluster, start: number): number {
  const { queue } = cluster.scenario
  if (queue === undefined) return start
  cluster.queued = Math.max(0, cluster.queued - (start - cluster.queueAt) * queue.perSecond)
  cluster.queueAt = start
  return cluster.queued < queue.maxWaiting ? start : start + (cluster.queued - queue.maxWaiting + 1) / queue.perSecond
}

/** Slots take nothing before `from`, even if a slot was free and an entry ready earlier. */
export function serve(cluster: Cluster, from: number, until: number): void {
  const { slots, backlog } = cluster
  const { arrivals } = cluster.load
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
    // Callers ask about times of the present second only: the call also empties the queue up to that time.
    if (ready >= until) return
    const start = roomAt(cluster, ready)
    if (start >= until) return
    const entry = takesAgain ? again.entry : backlog.head
    if (takesAgain) backlog.again.shift()
    else backlog.head++
    assign(cluster, slot, entry, start)
  }
}

/** Redis is away: entries in flight when it goes are settled when it is back. */
export function stall({ slots, random }: Cluster, from: number, until: number): void {
  for (let slot = 0; slot < slots.count; slot++) {
    const free = slots.freeAt[slot] as number
    if (free < until && (slots.took[slot] as number) >= 0 && free > from) slots.freeAt[slot] = until + random()
  }
  rebuild(slots)
}
