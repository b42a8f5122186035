/** The input of `decide` from the resource: the compiled scaling section, and the other fields that outrank or bound it. */
import type { CompiledPipeline, CompiledScaling } from '../api/compiled.ts'
import { type ScheduledBounds, scheduledBounds } from './schedules.ts'

export interface ScalingPolicy extends CompiledScaling {
  readonly suspend: boolean
  readonly mode: 'Stream' | 'Direct'
  /** spec.replicas: what runs under policy Manual. */
  readonly replicas: number
  /** Jobs that the queue may hold. Beyond that number, additional consumers are of no use. */
  readonly maxWaiting: number
  /** Batches one consumer has in flight at full load; with the service time, its speed. */
  readonly concurrency: number
  /** The present number, for a first decision without state, which must not shrink it. */
  readonly currentReplicas?: number
  /** The word for one replica in reasons. */
  readonly noun?: string
}

export function scalingPolicy(pipeline: CompiledPipeline, currentReplicas?: number): ScalingPolicy {
  return {
    ...pipeline.scaling,
    suspend: pipeline.suspend,
    mode: pipeline.mode,
    replicas: pipeline.replicas,
    maxWaiting: pipeline.sink.maxWaiting,
    concurrency: pipeline.source.inFlightBatches,
    ...(currentReplicas === undefined ? {} : { currentReplicas }),
  }
}

export type Bounds = ScheduledBounds

/**
 * Under Direct nothing new arrives: consumers drain what is left, then none is needed, whatever a schedule says.
 * @param atMs server time, for schedules; undefined before the first sample: none is active
 */
export function boundsOf(policy: ScalingPolicy, atMs: number | undefined): Bounds {
  const base = { min: Math.min(policy.minReplicas, policy.maxReplicas), max: policy.maxReplicas }
  const bounds = atMs === undefined || policy.schedules.length === 0 ? base : scheduledBounds(policy.schedules, base, atMs)
  return policy.mode === 'Direct' ? { ...bounds, min: 0 } : bounds
}

export const clamp = (replicas: number, bounds: Bounds): number => Math.min(bounds.max, Math.max(bounds.min, replicas))
