/** Builders of the inputs of `decide`: calm values, and the overrides of a test. */
import type { Heartbeat } from '../../redis/stream/registry.ts'
import type { ScalingPolicy } from '../../scaling/policy.ts'
import { type ConsumerSample, emptySample, type Sample } from '../../scaling/sample.ts'
import type { ScalingState } from '../../scaling/state.ts'

const atMs = 1_000_000

export function sampleWith(over: Partial<Sample> = {}): Sample {
  return { ...emptySample(atMs), groupExists: true, oldestAgeMs: over.undeliveredAgeMs ?? 0, ...over }
}

export function consumers(count: number, beat: Partial<Heartbeat> = {}): ConsumerSample[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `ndvi-${i}`,
    uid: `uid-${i}`,
    pending: 0,
    idleMs: 0,
    heartbeat: {
      uid: `uid-${i}`,
      at: atMs,
      state: 'Running',
      inFlight: 0,
      serviceMs: 10,
      path: 'Portable',
      forwarded: 0,
      duplicates: 0,
      dead: 0,
      reclaimed: 0,
      ...beat,
    },
  }))
}

export function policyWith(over: Partial<ScalingPolicy> = {}): ScalingPolicy {
  return {
    policy: 'Active',
    minReplicas: 1,
    maxReplicas: 10,
    targetAgeMs: 30_000,
    scaleDownDelayMs: 300_000,
    idleAfterMs: 120_000,
    onMetricsLoss: 'Hold',
    schedules: [],
    suspend: false,
    mode: 'Stream',
    replicas: 1,
    maxWaiting: 50_000,
    concurrency: 1,
    ...over,
  }
}

/** Remembers a sample five seconds ago and nothing else. */
export function stateWith(over: Partial<ScalingState> = {}): ScalingState {
  return {
    version: 1,
    atMs: atMs - 5_000,
    replicas: 1,
    misses: 0,
    arrivals: [],
    capacity: { marks: {} },
    startUp: {},
    rush: [],
    wanted: [{ atMs: atMs - 5_000, replicas: 0 }],
    ...over,
  }
}
