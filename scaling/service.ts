/**
 * How long entries take, from the consumers' heartbeats: each reports the mean of those it has settled lately. The weight
 * of a report is the number of entries that its consumer has settled, up to fifty: a consumer that has just begun knows few entries, and
 * the quick ones first. Where all of them together know
 * fewer than twenty, the report of earlier consumers counts for the rest. So a pipeline that slept, and whose consumers are gone,
 * wakes to the number that it needs.
 */
import type { Heartbeat } from '../redis/stream/registry.ts'
import type { Sample } from './sample.ts'

export interface Service {
  readonly meanMs: number
  /** How many entries that is a mean of. */
  readonly entries: number
}

/** Entries a consumer has settled since it started. */
export const settledBy = ({ forwarded, duplicates, dead }: Heartbeat): number => forwarded + duplicates + dead

const longestMemory = 200
const mostOfOne = 50
const enoughTogether = 20

/** @param settledBefore what a consumer had settled at the sample before, by uid */
export function learnService(
  remembered: Service | undefined,
  sample: Sample,
  settledBefore: (uid: string) => number,
): Service | undefined {
  let [meanMs, entries] = [remembered?.meanMs ?? 0, remembered?.entries ?? 0]
  for (const { heartbeat } of sample.consumers) {
    if (heartbeat === undefined || heartbeat.serviceMs === 0) continue
    const fresh = Math.max(0, settledBy(heartbeat) - settledBefore(heartbeat.uid))
    if (fresh === 0) continue
    entries = Math.min(longestMemory, entries + fresh)
    meanMs += (heartbeat.serviceMs - meanMs) * Math.min(1, fresh / entries)
  }
  return entries === 0 ? undefined : { meanMs, entries }
}

/** Whether the consumers have settled enough that the report of earlier ones no longer counts. */
export function isWellKnown({ consumers }: Sample): boolean {
  const known = consumers.reduce(
    (sum, { heartbeat }) => sum + (heartbeat === undefined || heartbeat.serviceMs === 0 ? 0 : settledBy(heartbeat)),
    0,
  )
  return known >= enoughTogether
}

/** Mean service time of an entry, in milliseconds; undefined while none was ever settled. */
export function serviceOf(sample: Sample, remembered: Service | undefined): number | undefined {
  let [sum, weights] = [0, 0]
  for (const { heartbeat } of sample.consumers) {
    if (heartbeat === undefined || heartbeat.serviceMs === 0) continue
    const weight = Math.max(1, Math.min(mostOfOne, settledBy(heartbeat)))
    sum += weight * heartbeat.serviceMs
    weights += weight
  }
  const rest = Math.min(remembered?.entries ?? 0, Math.max(0, enoughTogether - weights))
  if (weights + rest === 0) return undefined
  return (sum + rest * (remembered?.meanMs ?? 0)) / (weights + rest)
}
