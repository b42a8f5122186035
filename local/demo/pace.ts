/**
 * How many requests have arrived by a given time. The pace is a steady trickle with bursts, as when a new satellite pass is
 * published and every farm is run again. A burst is more than one consumer clears within the quick start's target age.
 */

const steadyPerSecond = 60
const firstBurstMs = 1_000
const burstEveryMs = 10_000
const burstSize = 12_000
/** A burst arrives over this long. */
const burstLastsMs = 500

/** Requests due since the start, a whole number that never falls. */
export function dueBy(elapsedMs: number): number {
  return Math.floor((elapsedMs * steadyPerSecond) / 1000) + burstsBy(elapsedMs)
}

function burstsBy(elapsedMs: number): number {
  const since = elapsedMs - firstBurstMs
  if (since < 0) return 0
  const whole = Math.floor(since / burstEveryMs)
  const inside = Math.min(1, (since - whole * burstEveryMs) / burstLastsMs)
  return whole * burstSize + Math.floor(inside * burstSize)
}
