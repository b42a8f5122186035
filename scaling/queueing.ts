/**
 * Room for chance. Even under an even load entries wait now and then, because several came at once or took long. Under an equal
 * load, fewer and longer jobs wait longer. A number of replicas for the mean alone would go up and down by chance.
 *
 * The model is M/M/c: entries come one by one, and the standard deviation of their service times equals the mean. Sakasegawa's
 * approximation of Erlang's formula gives the share of time in which one would wait. The waiting time falls off exponentially with
 * the room there is.
 */

interface Flow {
  /** Per second. */
  readonly arrivals: number
  /** One replica's entries per second. */
  readonly perReplica: number
  /** Entries that one replica works on at once. */
  readonly slots: number
}

/** The share of time in which chance may make an entry wait for long. A smaller share would cost more replicas than it is worth. */
const share = 0.02

/** Share of time in which an entry that comes waits for longer. */
export function waitingShare({ arrivals, perReplica, slots }: Flow, replicas: number, longerMs: number): number {
  const spare = replicas * perReplica - arrivals
  if (spare <= 0) return 1
  const busy = arrivals / (replicas * perReplica)
  return busy ** (Math.sqrt(2 * (replicas * slots + 1)) - 1) * Math.exp((-spare * longerMs) / 1000)
}

/** Replicas, fractional, with which chance alone rarely lets an entry wait for longer. */
export function chanceReplicas(flow: Flow, longerMs: number): number {
  if (flow.arrivals === 0) return 0
  // Even if every entry had to wait, this many replicas beyond the mean would suffice. They bound the search.
  const room = (Math.log(1 / share) * 1000) / (longerMs * flow.perReplica)
  let few = flow.arrivals / flow.perReplica
  let many = few + room
  while (many - few > 0.02 * many) {
    const middle = (few + many) / 2
    if (waitingShare(flow, middle, longerMs) > share) few = middle
    else many = middle
  }
  return many
}
