/**
 * Age triggers, rate sizes: `N = max(λ/(ρμ), λ/μ + [late?] · W/(max(T/2, start-up)·μ))`.
 *
 * The first form keeps up with arrivals and leaves some room. The second clears the backlog while keeping up, within half the
 * target, or within one start-up where that is longer. It counts only once the promise is in sight of being broken. Age itself is
 * never a factor. It does not fall in proportion to added replicas, so a controller that multiplies by it runs to its maximum.
 */

import { chanceReplicas } from './queueing.ts'

interface Load {
  /** Arrivals per second. */
  readonly arrivals: number
  /** One replica's entries per second; undefined while unknown. */
  readonly perReplica: number | undefined
  readonly ready: number
  /** Undelivered and orphaned entries. */
  readonly work: number
  /** Age of the oldest undelivered entry. */
  readonly ageMs: number
  readonly targetMs: number
  readonly startUpMs: number
  /** Entries that one replica works on at once. */
  readonly slots: number
}

/**
 * ρ: how full replicas may be. Room is for the growth of a load before more replicas are up. So it depends on the length of a start
 * as a share of the target: 0.9 where replicas are there at once, 0.75 where a start takes as long as the target or longer.
 */
const utilisation = ({ startUpMs, targetMs }: Pick<Load, 'startUpMs' | 'targetMs'>): number =>
  0.9 - 0.15 * Math.min(1, startUpMs / targetMs)

interface Needed {
  /** To keep up with arrivals. */
  readonly keepUp: number
  /** On top, to clear what waits before it is late. */
  readonly catchUp: number
}

/** Replicas needed, fractional; undefined while the speed of one is unknown. */
export function neededReplicas(load: Load): Needed | undefined {
  const { perReplica, work } = load
  if (work === 0 && load.arrivals === 0) return { keepUp: 0, catchUp: 0 }
  if (perReplica === undefined || perReplica <= 0) return undefined
  const keepUp = Math.max(load.arrivals / (utilisation(load) * perReplica), chanceReplicas({ ...load, perReplica }, lateMs(load)))
  if (!isTriggered(load, perReplica)) return { keepUp, catchUp: 0 }
  // The spare capacity of `keepUp` clears a part of the backlog.
  const room = keepUp - load.arrivals / perReplica
  return { keepUp, catchUp: Math.max(0, (work * 1000) / (clearMs(load) * perReplica) - room) }
}

/** In how long a backlog is to be cleared: half the target, or one start-up, where that is longer. */
export const clearMs = ({ startUpMs, targetMs }: Pick<Load, 'startUpMs' | 'targetMs'>): number =>
  Math.max(targetMs / 2, startUpMs)

/**
 * If a wait exceeds this time, more replicas are requested. A start then just ends at half the target; a wait up to a quarter of
 * the target is never too long.
 */
const lateMs = ({ startUpMs, targetMs }: Pick<Load, 'startUpMs' | 'targetMs'>): number =>
  Math.max(targetMs / 4, targetMs / 2 - startUpMs)

function isTriggered(load: Load, perReplica: number): boolean {
  const { work, ready, ageMs } = load
  if (work === 0) return false
  const waitMs = ready === 0 ? Number.POSITIVE_INFINITY : (work * 1000) / (perReplica * ready)
  return Math.max(waitMs, ageMs) > lateMs(load)
}

/** Standard deviations of the arrival rate that may well be chance. */
const chance = 1.5

/** Growth that is too small to be worth a start: 10 %, at least 0.15 replicas, and what may be chance in the arrival rate. */
const growBand = (needed: Needed, current: number, noise: number) =>
  Math.max(0.15, current / 10, needed.catchUp > 0 ? 0 : chance * noise * needed.keepUp)
/** The reserve that shrinking leaves above the need, 5 % at least: growing again is another 10 % away. */
const shrinkBand = (needed: Needed, current: number, noise: number) =>
  Math.max(0.15, current / 20, chance * noise * needed.keepUp)

/** Whole replicas: what runs, unless the need leaves the dead band around it. From zero, any need counts. */
export function wholeReplicas(needed: Needed, current: number, noise = 0): number {
  const total = needed.keepUp + needed.catchUp
  if (current === 0) return Math.ceil(total)
  if (total > current + growBand(needed, current, noise)) return Math.max(current + 1, Math.ceil(total - 0.15))
  return Math.min(current, Math.ceil(total + (total > 0 ? shrinkBand(needed, current, noise) : 0)))
}
