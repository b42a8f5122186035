/**
 * Age triggers, rate sizes: `N = λ/(ρμ) + [max(A_u, W/(μ·ready)) > T/4] · W/(max(T/2, start-up)·μ)`.
 *
 * The first term keeps up with arrivals at 75 % utilisation. The second clears the backlog within half the target (or one
 * start-up, where that is longer), and only once the promise is in sight of being broken. Age itself is never a factor: it does
 * not fall in proportion to replicas added, so a controller that multiplies by it runs to its maximum.
 */

export interface Load {
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
}

/** ρ: at three quarters of capacity, queueing delay is small and there is room for noise. */
export const utilisation = 0.75

/** Replicas needed, fractional; undefined while the speed of one is unknown. */
export function fractionalReplicas(load: Load): number | undefined {
  const { perReplica, work } = load
  if (work === 0 && load.arrivals === 0) return 0
  if (perReplica === undefined || perReplica <= 0) return undefined
  const keepUp = load.arrivals / (utilisation * perReplica)
  const clearSeconds = Math.max(load.targetMs / 2, load.startUpMs) / 1000
  return keepUp + (isTriggered(load, perReplica) ? work / (clearSeconds * perReplica) : 0)
}

function isTriggered(load: Load, perReplica: number): boolean {
  const { work, ready, ageMs, targetMs } = load
  if (work === 0) return false
  const waitMs = ready === 0 ? Number.POSITIVE_INFINITY : (work * 1000) / (perReplica * ready)
  return Math.max(ageMs, waitMs) > targetMs / 4
}

/** Growth that is too small to be worth a start: 10 %, at least 0.15 replicas. */
const growBand = (current: number) => Math.max(0.15, current / 10)
const shrinkBand = 0.9

/** Whole replicas: what runs, unless the need leaves the dead band around it. From zero, any need counts. */
export function wholeReplicas(needed: number, current: number): number {
  if (current === 0) return Math.ceil(needed)
  if (needed > current + growBand(current)) return Math.max(current + 1, Math.ceil(needed - 0.15))
  // Shrink to where the need is at most 90 %: the band that growing again has to cross is twice as wide as noise.
  return Math.min(current, Math.ceil(needed / shrinkBand))
}
