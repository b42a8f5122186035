/**
 * What `decide` remembers between ticks: plain JSON, kept by the caller (the operator keeps it in Redis, `up` in memory).
 * Losing it is safe: the next decision starts from what runs and does not shrink for one scaleDownDelay.
 */
import type { Arrival } from './arrivalhistory.ts'
import type { Capacity } from './capacity.ts'
import type { Downstream } from './downstream.ts'
import type { Outage } from './outage.ts'
import { boundsOf, clamp, type ScalingPolicy } from './policy.ts'
import { readyOf, type Sample } from './sample.ts'
import type { StartUp } from './startup.ts'

/** Samples missing in a row after which onMetricsLoss applies and windows restart. */
export const lossAfter = 3

interface Wanted {
  readonly atMs: number
  readonly replicas: number
}

export interface ScalingState {
  readonly version: 1
  /** Server clock of the last sample; undefined before the first one. */
  readonly atMs?: number
  /** What was decided last. */
  readonly replicas: number
  /** Samples missing in a row. */
  readonly misses: number
  readonly arrivals: readonly Arrival[]
  readonly capacity: Capacity
  readonly startUp: StartUp
  /** What is known of a limit behind the consumers; absent: nothing. */
  readonly downstream?: Downstream
  /** Everything fails, or did until just now; absent: no sign of it. */
  readonly outage?: Outage
  /** What was wanted within the last scaleDownDelay, thinned to the entries that can still be its maximum. */
  readonly wanted: readonly Wanted[]
  /** The same with what catching up took, within the time that takes. */
  readonly rush: readonly Wanted[]
  readonly lastShrinkMs?: number
  /** Last time an entry waited longer than the target. */
  readonly lastLateMs?: number
  /** Since when there has been nothing to do. */
  readonly idleSinceMs?: number
}

export function initialState(sample: Sample | undefined, policy: ScalingPolicy): ScalingState {
  const running = policy.currentReplicas ?? (sample === undefined ? 0 : readyOf(sample))
  const replicas = clamp(running, boundsOf(policy, sample?.atMs))
  const starting = sample !== undefined && readyOf(sample) < replicas
  return {
    version: 1,
    replicas,
    arrivals: [],
    capacity: { marks: {} },
    startUp: starting ? { awaiting: { replicas, sinceMs: sample.atMs } } : {},
    misses: 0,
    rush: [],
    // Empty without a sample, which is the only clock: the first one starts the windows.
    wanted: sample === undefined ? [] : [{ atMs: sample.atMs, replicas }],
  }
}

/** The model keeps what it learned; what was timed starts anew, and nothing shrinks for one scaleDownDelay. */
export function restartWindows(state: ScalingState, atMs: number): ScalingState {
  const { lastShrinkMs: _, lastLateMs: __, idleSinceMs: ___, downstream: ____, ...rest } = state
  return {
    ...rest,
    arrivals: [],
    capacity: { ...state.capacity, marks: {} },
    startUp: state.startUp.typicalMs === undefined ? {} : { typicalMs: state.startUp.typicalMs },
    wanted: [{ atMs, replicas: state.replicas }],
    rush: [],
  }
}

/** Appends to the window, dropping what is too old or can no longer be its maximum. */
export function remember(window: readonly Wanted[], latest: Wanted, spanMs: number): readonly Wanted[] {
  const kept = window.filter((item) => item.atMs > latest.atMs - spanMs && item.replicas > latest.replicas)
  return [...kept, latest]
}

export const windowMaximum = (window: readonly Wanted[]): number =>
  window.reduce((most, item) => Math.max(most, item.replicas), 0)
