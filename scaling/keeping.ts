/**
 * The time for which a needed number is kept after the load fell, and the size of a step down.
 *
 * A change costs a start and a drain. A starting replica does not work yet. A draining one takes no new entries, and runs until its
 * own are settled. A needed number is kept for four times the sum. So at most a fifth of the replicas' time is spent on changes, in any
 * rhythm of the load. While the time of a start is not known, the needed number is kept for the longest time, five minutes.
 * `scaleDownDelay`, where it is set, is obeyed instead.
 *
 * A step down may be a mistake. It is noticed a couple of looks later, and put right one start later. Until then surplus entries
 * wait. So a step is only as large as half the target allows: at most half of the replicas, and few where starts are slow.
 */
import type { ScalingPolicy } from './policy.ts'
import { type StartUp, startUpMs } from './startup.ts'

const changes = 4
const leastMs = 30_000
const longestMs = 300_000

/** @param serviceMs undefined while no entry was settled */
export function keepMs(policy: ScalingPolicy, startUp: StartUp, serviceMs: number | undefined): number {
  if (policy.scaleDownDelayMs !== undefined) return policy.scaleDownDelayMs
  if (startUp.typicalMs === undefined) return longestMs
  return Math.min(longestMs, Math.max(leastMs, changes * (startUp.typicalMs + (serviceMs ?? 0))))
}

/** Until a mistake is seen: two looks. */
const noticedMs = 10_000
const longestStepMs = 30_000

/** Between two steps down: until the one before could be seen to be a mistake. */
export function stepMs({ scaleDownDelayMs }: ScalingPolicy, startUp: StartUp): number {
  const settledMs = Math.min(longestStepMs, Math.max(noticedMs, startUpMs(startUp)))
  return scaleDownDelayMs === undefined ? settledMs : Math.min(settledMs, scaleDownDelayMs / 10)
}

/** The fewest replicas that one step down leaves. */
export function stepDown(replicas: number, { targetAgeMs }: ScalingPolicy, startUp: StartUp): number {
  const missable = targetAgeMs / 2 / (noticedMs + startUpMs(startUp))
  return Math.min(replicas - 1, Math.ceil(replicas / (1 + Math.min(1, missable))))
}
