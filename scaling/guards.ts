/**
 * The guards, each a named rule that looks at what the formula proposes and may hold it back. They run in the order of
 * `guards` below; a rule sees what the rules before it left. None of them looks at quarantined entries while any entry
 * succeeds, or at the age of pending ones: poison cannot move replicas.
 */
import { formatAge } from '../api/duration.ts'
import { stepWindowMs } from './arrivalhistory.ts'
import { isQueueFull, usefulReplicas } from './downstream.ts'
import { stepDown, stepMs } from './keeping.ts'
import type { Bounds, ScalingPolicy } from './policy.ts'
import { clamp } from './policy.ts'
import { healthyPendingOf, readyOf, type Sample, workOf } from './sample.ts'
import { isStarting, stuckMs } from './startup.ts'
import { ranLately, type ScalingState, windowMaximum } from './state.ts'

/** Why fewer or more than needed is decided. */
export type LimitedBy =
  | 'MinReplicas'
  | 'MaxReplicas'
  | 'Downstream'
  | 'StartUp'
  | 'ScaleDown'
  | 'Quarantine'
  | 'MetricsLoss'
  | 'ClockChange'
  | 'Manual'
  | 'Suspend'

export interface Proposal {
  readonly replicas: number
  readonly limitedBy?: LimitedBy
  /** The holding rule's words, appended to the reason. */
  readonly because?: string
}

export interface Situation {
  readonly sample: Sample
  /** Learned up to now; `replicas` is what was decided last. */
  readonly state: ScalingState
  readonly policy: ScalingPolicy
  readonly bounds: Bounds
  /** The number of the formula. */
  readonly wanted: number
}

type Guard = (proposal: Proposal, situation: Situation) => Proposal

/** More consumers would only fill a queue that its workers don't empty. */
const fullQueue: Guard = (proposal, { sample, state, policy }) => {
  if (!isQueueFull(sample, policy) || proposal.replicas <= state.replicas) return proposal
  const because = `hold, the queue has ${sample.queueWaiting} jobs waiting (limit ${policy.maxWaiting})`
  return { replicas: state.replicas, limitedBy: 'Downstream', because }
}

/**
 * If something behind the consumers is the limit, no more of them than proved useful, even if entries are late: more would not
 * help.
 */
const downstreamBound: Guard = (proposal, { sample, state, policy, bounds }) => {
  const useful = state.downstream === undefined ? undefined : usefulReplicas(state.downstream)
  if (useful === undefined || proposal.replicas <= useful) return proposal
  const floor = Math.max(useful, bounds.min, 1)
  const because = `more than ${floor} brought nothing, something behind them is the limit`
  if (floor >= state.replicas) return { replicas: Math.min(floor, proposal.replicas), limitedBy: 'Downstream', because }
  if (!isTimeForStep(state, sample, policy))
    return { replicas: state.replicas, limitedBy: 'Downstream', because: `hold, ${because}` }
  return {
    replicas: Math.max(floor, state.replicas - Math.max(1, Math.floor(state.replicas / 4))),
    limitedBy: 'Downstream',
    because,
  }
}

/** Replicas on their way are counted as if they worked: a second step only for half as many again. */
const slowStart: Guard = (proposal, { sample, state }) => {
  const { replicas } = state
  if (proposal.replicas <= replicas || replicas === 0 || !isStarting(state.startUp, sample.atMs)) return proposal
  if (proposal.replicas > 1.5 * replicas) return proposal
  return { replicas, limitedBy: 'StartUp', because: `hold, ${state.startUp.awaiting?.replicas ?? replicas} are starting` }
}

/** Where none becomes ready, more of them would not either. */
const nothingStarts: Guard = (proposal, { sample, state }) => {
  const { replicas } = state
  const forMs = stuckMs(state.startUp, readyOf(sample), sample.atMs)
  if (forMs === undefined || proposal.replicas <= replicas || replicas === 0) return proposal
  return { replicas, limitedBy: 'StartUp', because: `hold, none of ${replicas} has become ready in ${formatAge(forMs)}` }
}

/** After an entry was late, the number of replicas does not shrink for this long. */
const calmMs = (policy: ScalingPolicy) => Math.min(60_000, 2 * policy.targetAgeMs)
const isTimeForStep = (state: ScalingState, sample: Sample, policy: ScalingPolicy): boolean =>
  state.lastShrinkMs === undefined || sample.atMs - state.lastShrinkMs >= stepMs(policy, state.startUp)
/** The number of replicas does not shrink until the scaler has seen arrivals for two step windows (arrivals.ts). */
const leastSeenMs = 2 * stepWindowMs
/**
 * The speed may come from another process. Until enough of our own entries confirm it, the load counts as unknown, for this long at
 * most.
 */
const unprovenMs = 300_000
const isLoadKnown = ({ sinceMs, capacity }: ScalingState, atMs: number): boolean =>
  sinceMs === undefined || atMs - sinceMs >= (capacity.carried ? unprovenMs : leastSeenMs)
/** Down slowly: never below what was wanted within the window (keeping.ts), never soon after lateness, one `stepDown` at a time. */
const shrinkSlowly: Guard = (proposal, { sample, state, policy }) => {
  const { replicas } = state
  if (proposal.replicas >= replicas) return proposal
  const hold = (because: string): Proposal => ({ replicas, limitedBy: 'ScaleDown', because: `hold, ${because}` })
  if (sample.undeliveredAgeMs > policy.targetAgeMs / 2) return hold('the oldest entry is past half the target')
  if (state.lastLateMs !== undefined && sample.atMs - state.lastLateMs < calmMs(policy)) return hold('entries were late just now')
  if (!isLoadKnown(state, sample.atMs)) return hold('the load has been seen for a short time only')
  const floor = Math.max(proposal.replicas, windowMaximum(state.wanted))
  if (windowMaximum(state.rush) >= replicas) return hold('what waited is being cleared')
  if (floor >= replicas) return hold(`${floor} ${ranLately(state.wanted, floor) ? 'ran' : 'were needed'} lately`)
  if (!isTimeForStep(state, sample, policy)) return hold('one step down at a time')
  const next = Math.max(floor, windowMaximum(state.rush), stepDown(replicas, policy, state.startUp))
  return next === proposal.replicas ? proposal : { replicas: next, limitedBy: 'ScaleDown' }
}

/** Where everything fails, neither more (they would fail, too) nor fewer (the work is still there). */
const openCircuit: Guard = (proposal, { sample, state, bounds }) => {
  if (state.outage?.kind !== 'Open') return proposal
  const replicas = clamp(state.replicas, bounds)
  const because = `hold, nothing succeeds and ${sample.quarantined} entries were delivered three times or more`
  return { replicas, limitedBy: 'Quarantine', because }
}

/** Zero only after idleAfter of quiet; at least one while anything is to be done or finished; from zero only for such work. */
const zeroAndWake: Guard = (proposal, { sample, state, policy, bounds }) => {
  if (bounds.min > 0) return proposal
  if (hasWork(sample)) return { ...proposal, replicas: Math.max(1, proposal.replicas) }
  if (state.replicas === 0) return { replicas: 0 }
  const quietMs = isQuiet(sample, state) ? sample.atMs - (state.idleSinceMs ?? sample.atMs) : 0
  if (quietMs >= policy.idleAfterMs) return { replicas: 0 }
  return proposal.replicas > 0 ? proposal : { ...proposal, replicas: 1, because: 'hold one until idleAfter has passed' }
}

const hasWork = (sample: Sample): boolean => workOf(sample) > 0 || healthyPendingOf(sample) > 0

/** Nothing to do, and nothing came and went since the sample before. */
export function isQuiet(sample: Sample, state: ScalingState): boolean {
  const previous = state.arrivals.at(-2)
  return !hasWork(sample) && (previous === undefined || previous.added === sample.entriesAdded)
}

const withinBounds: Guard = (proposal, { bounds, wanted }) => {
  const replicas = clamp(proposal.replicas, bounds)
  if (replicas < proposal.replicas || (replicas === bounds.max && wanted > bounds.max)) {
    return { replicas, limitedBy: 'MaxReplicas', because: `${wanted} needed, ${bounds.max} is the maximum` }
  }
  const because = bounds.schedule === undefined ? {} : { because: `${replicas}, the minimum of schedule ${bounds.schedule}` }
  if (replicas > proposal.replicas) return { ...proposal, replicas, limitedBy: 'MinReplicas', ...because }
  return proposal
}

export const guards: readonly Guard[] = [
  withinBounds,
  fullQueue,
  slowStart,
  nothingStarts,
  shrinkSlowly,
  downstreamBound,
  zeroAndWake,
  openCircuit,
]
