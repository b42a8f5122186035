/**
 * The memory of `decide` between ticks: plain JSON, kept by the caller (the operator keeps it in Redis, `up` in memory).
 * Without it the next decision starts from the running replicas, and does not shrink until the load is known again (resume.ts).
 *
 * Three numbers of replicas are kept apart. `replicas` was decided. `recommended` is the model's, obeyed or not. The Deployment's own
 * number (`policy.currentReplicas`) is what was carried out, by this process or another one.
 */
import type { Arrival } from './arrivalhistory.ts'
import type { Capacity } from './capacity.ts'
import type { Downstream } from './downstream.ts'
import type { Outage } from './outage.ts'
import { boundsOf, clamp, type ScalingPolicy } from './policy.ts'
import { readyOf, type Sample } from './sample.ts'
import { found, type StartUp } from './startup.ts'

/** Samples missing in a row after which onMetricsLoss applies and windows restart. */
export const lossAfter = 3

export interface Wanted {
  readonly atMs: number
  readonly replicas: number
  /** They ran, for whatever reason. The model did not ask for them. */
  readonly ran?: true
}

export interface ScalingState {
  readonly version: 1
  /** Server clock of the last sample; undefined before the first one. */
  readonly atMs?: number
  /** The last decision. */
  readonly replicas: number
  /** The model's last recommendation; absent in a state of an older version: `replicas`. */
  readonly recommended?: number
  /** The Deployment's number at the last sample; absent: not known. */
  readonly deployed?: number
  /** Server clock since when samples have come without a gap; absent in a state of an older version. */
  readonly sinceMs?: number
  /** Samples missing in a row. */
  readonly misses: number
  readonly arrivals: readonly Arrival[]
  readonly capacity: Capacity
  readonly startUp: StartUp
  /** The known limit behind the consumers; absent: none. */
  readonly downstream?: Downstream
  /** Everything fails, or did until just now; absent: no sign of it. */
  readonly outage?: Outage
  /** Numbers wanted within the keeping time (keeping.ts), thinned to those that can still be its maximum. */
  readonly wanted: readonly Wanted[]
  /** The numbers wanted with the replicas for catching up, kept for the time that catching up may take. */
  readonly rush: readonly Wanted[]
  readonly lastShrinkMs?: number
  /** Last time an entry waited longer than the target. */
  readonly lastLateMs?: number
  /** Since when there has been nothing to do. */
  readonly idleSinceMs?: number
}

export function initialState(sample: Sample | undefined, policy: ScalingPolicy): ScalingState {
  const ready = sample === undefined ? 0 : readyOf(sample)
  const running = policy.currentReplicas ?? ready
  const replicas = clamp(running, boundsOf(policy, sample?.atMs))
  const first = {
    version: 1,
    replicas,
    arrivals: [],
    capacity: { marks: {} },
    misses: 0,
    rush: [],
  } as const
  // Windows are empty without a sample, which is the only clock: the first one starts them.
  if (sample === undefined) return { ...first, startUp: {}, wanted: [] }
  const { atMs } = sample
  // The Deployment asks for fewer replicas so far, so the missing ones start now.
  const awaiting = (policy.currentReplicas ?? 0) < replicas ? { replicas, sinceMs: atMs } : found(replicas, atMs)
  return {
    ...first,
    sinceMs: atMs,
    startUp: ready < replicas ? { awaiting } : {},
    wanted: [{ atMs, replicas, ran: true }],
  }
}

/** The model keeps what it learned. All timers start anew, and nothing shrinks for the keeping time (keeping.ts). */
export function restartWindows(state: ScalingState, atMs: number): ScalingState {
  const { lastShrinkMs: _, lastLateMs: __, idleSinceMs: ___, downstream: ____, ...rest } = state
  return {
    ...rest,
    sinceMs: atMs,
    arrivals: [],
    capacity: { ...state.capacity, marks: {} },
    startUp: state.startUp.typicalMs === undefined ? {} : { typicalMs: state.startUp.typicalMs },
    wanted: [{ atMs, replicas: state.replicas, ran: true }],
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

/** Whether so many were in the window because they ran, not because the model asked for them. */
export const ranLately = (window: readonly Wanted[], replicas: number): boolean =>
  window.some((item) => item.replicas >= replicas && item.ran === true)
