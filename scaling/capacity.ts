/**
 * What one replica clears per second, μ. Two sources:
 *
 * - measured: how much a consumer's settled counter grew between two of its heartbeats, counted only while a backlog lasted
 *   over the whole interval and the consumer was Running. Then it could not have been idle, so its throughput is its capacity,
 *   with everything in it that a model forgets (a shared Redis, a shared CPU). Smoothed.
 * - computed, until something was measured: concurrency / service time, the service time from the heartbeats.
 *
 * What a sample teaches is used from the next decision on. So, all else equal, a sample with more work never makes replicas
 * look faster, and more work never asks for fewer of them.
 */
import type { Heartbeat } from '../redis/stream/registry.ts'
import type { Sample } from './sample.ts'

interface Mark {
  readonly settled: number
  readonly atMs: number
}

export interface Capacity {
  /** Entries per second of one replica at full load, as measured. */
  readonly perSecond?: number
  /** Since when there has been a backlog at every sample. */
  readonly backlogSinceMs?: number
  /** Each consumer's counter at its last heartbeat seen, by uid. */
  readonly marks: Readonly<Record<string, Mark>>
}

/** Entries a consumer has settled since it started. */
const settledBy = ({ forwarded, duplicates, dead }: Heartbeat): number => forwarded + duplicates + dead

/** Weight of a new measurement. */
const weight = 0.3

export function learnCapacity(capacity: Capacity, sample: Sample): Capacity {
  const backlogSinceMs = sample.undelivered === 0 ? undefined : (capacity.backlogSinceMs ?? sample.atMs)
  const marks: Record<string, Mark> = {}
  const rates: number[] = []
  for (const { heartbeat } of sample.consumers) {
    if (heartbeat === undefined) continue
    const now: Mark = { settled: settledBy(heartbeat), atMs: heartbeat.at }
    marks[heartbeat.uid] = now
    const before = capacity.marks[heartbeat.uid]
    const busy = backlogSinceMs !== undefined && before !== undefined && before.atMs >= backlogSinceMs
    if (!busy || heartbeat.state !== 'Running' || now.atMs <= before.atMs || now.settled <= before.settled) continue
    rates.push(((now.settled - before.settled) * 1000) / (now.atMs - before.atMs))
  }
  const perSecond = smooth(capacity.perSecond, mean(rates))
  return { marks, ...(perSecond === undefined ? {} : { perSecond }), ...(backlogSinceMs === undefined ? {} : { backlogSinceMs }) }
}

/** Undefined while nothing was ever settled. */
export function perReplica(capacity: Capacity, sample: Sample, concurrency: number): number | undefined {
  if (capacity.perSecond !== undefined) return capacity.perSecond
  const serviceMs = mean(sample.consumers.flatMap((consumer) => consumer.heartbeat?.serviceMs || []))
  return serviceMs === undefined ? undefined : (concurrency * 1000) / serviceMs
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
}

function smooth(before: number | undefined, measured: number | undefined): number | undefined {
  if (measured === undefined) return before
  return before === undefined ? measured : before + weight * (measured - before)
}
