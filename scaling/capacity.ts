/**
 * What one replica clears per second, μ. Two sources:
 *
 * - measured: how much a consumer's settled counter grew between two of its heartbeats, counted only where the consumer was
 *   Running and the oldest entry has waited since before the first of them. Then it could not have been idle, so its throughput
 *   is its capacity, with everything in it that a model forgets (a shared Redis, a shared CPU). Growth and time are summed over
 *   consumers and samples until enough entries were settled: jobs of a minute settle none in most intervals, and those count,
 *   too. It is taken for more, though not for less, where entries have become quicker since: only a backlog measures anew, and
 *   too many replicas leave none.
 * - computed, until something was measured: concurrency / service time, the service time from the heartbeats.
 *
 * What a sample teaches is used from the next decision on. So, all else equal, a sample with more work never makes replicas
 * look faster, and more work never asks for fewer of them.
 */
import type { Heartbeat } from '../redis/stream/registry.ts'
import type { Sample } from './sample.ts'

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
  /** Since when there has been a backlog at every sample. */
  readonly backlogSinceMs?: number
  readonly sum?: Sum
  /** The heartbeats' mean service time when that was measured. */
  readonly serviceMs?: number
  /** Each consumer's counter at its last heartbeat seen, by uid. */
  readonly marks: Readonly<Record<string, Mark>>
}

/** Entries a consumer has settled since it started. */
export const settledBy = ({ forwarded, duplicates, dead }: Heartbeat): number => forwarded + duplicates + dead

/** Weight of a new measurement. */
const weight = 0.3
/** A measurement of so many entries is right within a tenth where times vary as much as their mean. */
const enoughEntries = 100

export function learnCapacity(capacity: Capacity, sample: Sample): Capacity {
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
    const busy = before !== undefined && backlogSinceMs !== undefined && sample.atMs - before.atMs <= waitingMs
    if (!busy || heartbeat.state !== 'Running' || now.atMs <= before.atMs || now.settled < before.settled) continue
    settled += now.settled - before.settled
    ms += now.atMs - before.atMs
  }
  const service = isEnoughOf(settled, ms) ? serviceOf(sample) : capacity.serviceMs
  const isEnough = isEnoughOf(settled, ms)
  const perSecond = isEnough ? smooth(capacity.perSecond, (settled * 1000) / ms) : capacity.perSecond
  return {
    marks,
    ...(perSecond === undefined ? {} : { perSecond }),
    ...(backlogSinceMs === undefined ? {} : { backlogSinceMs }),
    ...(service === undefined ? {} : { serviceMs: service }),
    ...(isEnough || ms === 0 ? {} : { sum: { settled, ms } }),
  }
}

const isEnoughOf = (settled: number, ms: number): boolean => settled >= enoughEntries && ms > 0

/** Quicker by less than this may be chance, and is of no consequence. */
const quicker = 1.05

/** Undefined while nothing was ever settled. */
export function perReplica(capacity: Capacity, sample: Sample, concurrency: number): number | undefined {
  const serviceMs = serviceOf(sample)
  if (capacity.perSecond === undefined) return serviceMs === undefined ? undefined : (concurrency * 1000) / serviceMs
  const gain = (capacity.serviceMs ?? 0) / (serviceMs ?? Number.POSITIVE_INFINITY)
  return capacity.perSecond * (gain > quicker ? gain : 1)
}

const serviceOf = (sample: Sample): number | undefined =>
  mean(sample.consumers.flatMap((consumer) => consumer.heartbeat?.serviceMs || []))

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
}

function smooth(before: number | undefined, measured: number): number {
  return before === undefined ? measured : before + weight * (measured - before)
}
