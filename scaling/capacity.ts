/**
 * The rate μ that one replica clears per second. Two sources:
 *
 * - measured: the growth of a consumer's settled counter between two of its heartbeats. It counts only where the consumer was Running,
 *   and the oldest entry has waited since before the first of them. Then it could not have been idle. So its throughput is its capacity,
 *   with all that a model forgets, such as a shared Redis or CPU. Growth and time are summed over consumers and samples until enough
 *   entries were settled. If a job takes a minute, most intervals settle no entry. These intervals count, too. If entries have become
 *   quicker since, the measured rate is raised. Otherwise it would stay too low for ever. A new measurement needs a backlog, and too many
 *   replicas leave none. Longer service times never lower the measured rate in this way.
 * - computed: concurrency / service time, the service time from the heartbeats. It is used until something was measured. After
 *   that it may move the measured rate by the error that chance explains, which is a tenth for a hundred entries.
 *
 * A stretch counts only if the backlog at its beginning could hardly be cleared within it. A stretch that ends without a
 * backlog cannot count, since replicas may have been idle. So of stretches with a small backlog only slow ones would count, and the
 * rate would be too low.
 *
 * The model learns from a sample only after the decision on it. So, all else equal, a sample with more work never makes replicas
 * look faster, and more work never asks for fewer of them.
 */
import { readyOf, type Sample } from './sample.ts'
import { isWellKnown, learnService, type Service, serviceOf, settledBy } from './service.ts'

interface Mark {
  readonly settled: number
  /** Of these, without dead letters. */
  readonly succeeded?: number
  readonly atMs: number
}

/** A measurement in the making. */
interface Sum {
  readonly settled: number
  /** Summed over consumers. */
  readonly ms: number
}

export interface Capacity {
  /** Entries per second of one replica at full load, as measured. */
  readonly perSecond?: number
  /** `perSecond` is as certain as one measurement of this many entries; absent in a state of an older version. */
  readonly entries?: number
  /** Since when there has been a backlog at every sample. */
  readonly backlogSinceMs?: number
  /** Until this time the entries that waited at the last sample keep all replicas busy, even if these are lucky. */
  readonly deepUntilMs?: number
  readonly sum?: Sum
  /** The heartbeats' mean service time when that was measured. */
  readonly serviceMs?: number
  /** The reports of all consumers, those that are gone included. */
  readonly service?: Service
  /** `perSecond` comes from another process, and was not yet compared with the running consumers' service times. */
  readonly carried?: true
  /** Each consumer's counter at its last heartbeat seen, by uid. */
  readonly marks: Readonly<Record<string, Mark>>
}

/** Weight of a new measurement, once there were a few. */
const weight = 0.3
/** A measurement of so many entries is right within a tenth where times vary as much as their mean. */
const enoughEntries = 100

/** Replicas may take more entries from the backlog than expected: more by this many standard deviations. */
const luck = 3

/** The largest expected number of taken entries that, even with luck, stays within `waiting`. */
const surelyLasting = (waiting: number): number => ((Math.sqrt(luck ** 2 + 4 * waiting) - luck) / 2) ** 2

/** The knowledge of another process. Measurements in the making are left out: counters are compared with what this process sees. */
export function carried({ perSecond, entries, service }: Capacity): Capacity {
  return {
    marks: {},
    ...(perSecond === undefined ? {} : { perSecond, carried: true }),
    ...(entries === undefined ? {} : { entries }),
    ...(service === undefined ? {} : { service }),
  }
}

/**
 * The speed by the service times is the most that a replica can reach. A replica that waits is slower, but hardly by this factor.
 */
const plausible = 4

/** Compares a carried measurement with consumers that have settled enough. One that cannot be right is forgotten. */
export function compared(capacity: Capacity, sample: Sample, concurrency: number): Capacity {
  const serviceMs = serviceOf(sample, undefined)
  if (!capacity.carried || serviceMs === undefined || !isWellKnown(sample)) return capacity
  const { carried: _, perSecond = 0, entries, ...rest } = capacity
  const computed = (concurrency * 1000) / serviceMs
  if (perSecond > computed || perSecond * plausible < computed) return rest
  return { ...rest, perSecond, serviceMs, ...(entries === undefined ? {} : { entries }) }
}

/** @param speed of one replica, if known. Without it the age of the oldest entry alone decides whether a replica was busy */
export function learnCapacity(capacity: Capacity, sample: Sample, speed?: number): Capacity {
  const backlogSinceMs = sample.undelivered === 0 ? undefined : (capacity.backlogSinceMs ?? sample.atMs)
  const marks: Record<string, Mark> = {}
  // Where ids are not times, a backlog at every sample has to do.
  const waitingMs = sample.timeIds ? sample.undeliveredAgeMs : sample.atMs - (backlogSinceMs ?? sample.atMs)
  let { settled, ms } = capacity.sum ?? { settled: 0, ms: 0 }
  for (const { heartbeat } of sample.consumers) {
    if (heartbeat === undefined) continue
    const { forwarded, duplicates, at } = heartbeat
    const now: Mark = { settled: settledBy(heartbeat), succeeded: forwarded + duplicates, atMs: at }
    marks[heartbeat.uid] = now
    const before = capacity.marks[heartbeat.uid]
    const deep = capacity.deepUntilMs === undefined || sample.atMs <= capacity.deepUntilMs
    const busy = deep && before !== undefined && backlogSinceMs !== undefined && sample.atMs - before.atMs <= waitingMs
    if (!busy || heartbeat.state !== 'Running' || now.atMs <= before.atMs || now.settled < before.settled) continue
    settled += now.settled - before.settled
    ms += now.atMs - before.atMs
  }
  const clears = (speed ?? 0) * readyOf(sample)
  const deepUntilMs = clears === 0 ? undefined : sample.atMs + (surelyLasting(sample.undelivered) * 1000) / clears
  const service = isEnoughOf(settled, ms) ? serviceOf(sample, capacity.service) : capacity.serviceMs
  const learnt = learnService(capacity.service, sample, (uid) => capacity.marks[uid]?.settled ?? 0)
  const isEnough = isEnoughOf(settled, ms)
  const measured = isEnough ? refined(capacity, (settled * 1000) / ms, settled) : capacity
  return {
    marks,
    ...(measured.perSecond === undefined ? {} : { perSecond: measured.perSecond }),
    ...(measured.entries === undefined ? {} : { entries: measured.entries }),
    ...(backlogSinceMs === undefined ? {} : { backlogSinceMs }),
    ...(deepUntilMs === undefined ? {} : { deepUntilMs }),
    ...(service === undefined ? {} : { serviceMs: service }),
    ...(learnt === undefined ? {} : { service: learnt }),
    ...(capacity.carried && !isEnough ? { carried: true } : {}),
    ...(isEnough || ms === 0 ? {} : { sum: { settled, ms } }),
  }
}

const isEnoughOf = (settled: number, ms: number): boolean => settled >= enoughEntries && ms > 0

/** Quicker by less than this may be chance, and is of no consequence. */
const quicker = 1.05

/** Standard deviations that a measurement may well be wrong by. */
const leeway = 1

/** Undefined while nothing was ever settled. */
export function perReplica(capacity: Capacity, sample: Sample, concurrency: number): number | undefined {
  const serviceMs = serviceOf(sample, capacity.service)
  const computed = serviceMs === undefined ? undefined : (concurrency * 1000) / serviceMs
  if (capacity.perSecond === undefined || computed === undefined) return capacity.perSecond ?? computed
  if (capacity.carried) return Math.min(capacity.perSecond, computed)
  const gain = (capacity.serviceMs ?? 0) / (serviceMs ?? Number.POSITIVE_INFINITY)
  const measured = capacity.perSecond * (gain > quicker ? gain : 1)
  const chance = leeway / Math.sqrt(capacity.entries ?? enoughEntries)
  return Math.max(measured * (1 - chance), Math.min(computed, measured * (1 + chance)))
}

/**
 * A measurement weighs as much as the entries that it saw, a later one at least `weight`. One that chance cannot explain replaces
 * the earlier result.
 */
function refined({ perSecond, entries = enoughEntries }: Capacity, measured: number, settled: number) {
  if (perSecond === undefined) return { perSecond: measured, entries: settled }
  const changed =
    Math.abs(measured - perSecond) > luck * Math.hypot(perSecond / Math.sqrt(entries), measured / Math.sqrt(settled))
  const share = changed ? 1 : Math.max(weight, settled / (entries + settled))
  return {
    perSecond: perSecond + share * (measured - perSecond),
    entries: 1 / ((1 - share) ** 2 / entries + share ** 2 / settled),
  }
}
