/**
 * How many consumers there should be: a pure function of what was remembered, what was seen, and what the resource says. The
 * clock is the sample's, so a recorded run decides the same again.
 *
 * In order: suspend outranks everything. Without a sample nothing is known, so nothing shrinks. A clock that went back, or a long
 * silence, restarts whatever was timed. Then the formula (sizing.ts) proposes and the guards (guards.ts) hold it back. Under Manual
 * the same is computed and reported as `recommended`, and the decision is spec.replicas. Under mode Direct the lower bound is zero.
 * Once a pipeline in mode Direct is drained, this zero outranks Manual, too.
 *
 * Between `entered` and `concluded` a state's `replicas` is the model's own number. In kept states it is the decided one.
 */
import { rememberArrival } from './arrivalhistory.ts'
import { arrivalRate } from './arrivals.ts'
import { compared, learnCapacity, perReplica } from './capacity.ts'
import { type Downstream, learnDownstream, watching } from './downstream.ts'
import { guards, isQuiet, type LimitedBy, type Proposal, type Situation } from './guards.ts'
import { keepMs } from './keeping.ts'
import { learnOutage, readmittedOf } from './outage.ts'
import { type Bounds, boundsOf, clamp, type ScalingPolicy } from './policy.ts'
import { count, describe } from './reasons.ts'
import { isSuperseded, resumed } from './resume.ts'
import { readyOf, type Sample, workOf } from './sample.ts'
import { serviceOf } from './service.ts'
import { clearMs, neededReplicas, wholeReplicas } from './sizing.ts'
import { awaitReplicas, isStarting, learnStartUp, startUpMs } from './startup.ts'
import { initialState, lossAfter, remember, restartWindows, type ScalingState } from './state.ts'

export interface Decision {
  readonly replicas: number
  /** The number of the formula; differs from `replicas` under Manual and Suspend. */
  readonly recommended: number
  /** One line for a person. */
  readonly reason: string
  readonly limitedBy?: LimitedBy
  readonly state: ScalingState
}

export function decide(state: ScalingState | undefined, sample: Sample | undefined, policy: ScalingPolicy): Decision {
  const before = continued(state, sample, policy)
  const own = entered(before, sample, policy)
  const proposed = sample === undefined ? decideBlind(own, policy) : decideSeeing(own, sample, policy)
  return concluded(outranked(proposed, sample, policy), before, sample, policy)
}

function continued(state: ScalingState | undefined, sample: Sample | undefined, policy: ScalingPolicy): ScalingState {
  if (state === undefined) return initialState(sample, policy)
  return sample !== undefined && isSuperseded(state, sample, policy) ? resumed(state, sample, policy) : state
}

/**
 * While something else decides, the model goes on from its own recommendation. Once it decides, it starts from what runs. Replicas
 * beyond the recommendation stay for as long as if they had been needed until now: the policy changed, not the load.
 */
function entered(before: ScalingState, sample: Sample | undefined, policy: ScalingPolicy): ScalingState {
  const { recommended = before.replicas, replicas, wanted } = before
  if (policy.suspend || policy.policy === 'Manual') return { ...before, replicas: recommended }
  const atMs = sample?.atMs ?? before.atMs
  if (recommended >= replicas || wanted.length === 0 || atMs === undefined) return before
  return { ...before, wanted: [...wanted, { atMs, replicas, ran: true }] }
}

/** The state to keep, with what was decided in the end. */
function concluded(decision: Decision, before: ScalingState, sample: Sample | undefined, policy: ScalingPolicy): Decision {
  const { replicas, recommended } = decision
  const { deployed, ...state } = decision.state
  const known = policy.currentReplicas ?? (sample === undefined ? deployed : undefined)
  const startUp = sample === undefined ? state.startUp : awaitReplicas(state.startUp, before.replicas, replicas, sample.atMs)
  return {
    ...decision,
    state: { ...state, replicas, recommended, startUp, ...(known === undefined ? {} : { deployed: known }) },
  }
}

/** Without metrics: hold, or after a few misses what onMetricsLoss says; never fewer than run. */
function decideBlind(before: ScalingState, policy: ScalingPolicy): Decision {
  const misses = before.misses + 1
  const bounds = boundsOf(policy, before.atMs)
  const asked =
    misses < lossAfter || policy.onMetricsLoss === 'Hold' ? before.replicas : lossReplicas(policy.onMetricsLoss, bounds)
  const replicas = clamp(Math.max(before.replicas, asked), bounds)
  const outcome = replicas === before.replicas ? `hold at ${replicas}` : `${replicas} (onMetricsLoss: ${policy.onMetricsLoss})`
  return {
    replicas,
    recommended: replicas,
    reason: `Redis could not be asked for ${count(misses, 'tick')}: ${outcome}`,
    limitedBy: 'MetricsLoss',
    state: { ...before, misses, replicas },
  }
}

function lossReplicas(onLoss: 'Max' | number, bounds: Bounds): number {
  return onLoss === 'Max' ? bounds.max : onLoss
}

function decideSeeing(before: ScalingState, sample: Sample, policy: ScalingPolicy): Decision {
  const clockWentBack = before.atMs !== undefined && sample.atMs < before.atMs
  if (clockWentBack) return holdForClock(before, sample, policy)
  const timed = before.misses >= lossAfter || before.wanted.length === 0 ? restartWindows(before, sample.atMs) : before
  const bounds = boundsOf(policy, sample.atMs)
  const ready = readyOf(sample)
  const startUp = learnStartUp(timed.startUp, ready, policy.currentReplicas ?? timed.replicas, sample.atMs)
  const arrivals = rememberArrival(timed.arrivals, { atMs: sample.atMs, added: sample.entriesAdded })
  // One point alone: the history began anew, since the counter fell (another stream, or a failover that lost entries).
  const sinceMs = timed.arrivals.length > 0 && arrivals.length === 1 ? sample.atMs : timed.sinceMs
  const rate = arrivalRate(arrivals)
  const capacity = compared(timed.capacity, sample, policy.concurrency)
  const speed = perReplica(capacity, sample, policy.concurrency)
  const pace = { targetMs: policy.targetAgeMs, startUpMs: startUpMs(startUp) }
  const needed = neededReplicas({
    ...pace,
    arrivals: rate.perSecond,
    perReplica: speed,
    ready,
    slots: policy.concurrency,
    work: workOf(sample) + readmittedOf(timed.outage, sample),
    ageMs: sample.undeliveredAgeMs,
  })
  const current = clamp(timed.replicas, bounds)
  const wanted = needed === undefined ? explore(timed, sample, policy, ready) : wholeReplicas(needed, current, rate.noise)
  // Replicas for catching up are needed only until the backlog is cleared. So `state.wanted`, which delays shrinking, remembers
  // only the number that keeps up.
  const lasting = needed === undefined ? wanted : wholeReplicas({ ...needed, catchUp: 0 }, current, rate.noise)
  const state: ScalingState = {
    ...timed,
    atMs: sample.atMs,
    replicas: current,
    misses: 0,
    ...(sinceMs === undefined ? {} : { sinceMs }),
    arrivals,
    capacity,
    startUp,
    rush: remember(
      workOf(sample) === 0 ? [] : timed.rush,
      { atMs: sample.atMs, replicas: wanted },
      clearMs(pace) + pace.startUpMs,
    ),
    wanted: remember(
      timed.wanted,
      { atMs: sample.atMs, replicas: lasting },
      keepMs(policy, startUp, serviceOf(sample, capacity.service)),
    ),
    ...(sample.undeliveredAgeMs > policy.targetAgeMs ? { lastLateMs: sample.atMs } : {}),
  }
  const situation: Situation = { sample, state, policy, bounds, wanted }
  const learned = learnDownstream(timed.downstream ?? watching, {
    sample,
    previousMs: timed.atMs,
    capacity,
    arrivals: rate.perSecond,
    perReplica: speed,
    policy,
  })
  const settled = guards.reduce<Proposal>((proposal, guard) => guard(proposal, situation), { replicas: wanted })
  const { replicas } = settled
  return {
    replicas,
    recommended: replicas,
    reason: describe({
      sample,
      policy,
      arrivals: rate.perSecond,
      perReplica: speed,
      ready,
      before: current,
      after: replicas,
      ...(settled.because === undefined ? {} : { because: settled.because }),
    }),
    ...(settled.limitedBy === undefined ? {} : { limitedBy: settled.limitedBy }),
    state: afterwards(state, sample, policy, replicas, learned),
  }
}

/**
 * While the speed of a replica is unknown: one to learn it, doubled once per start-up while entries age. Only replicas that became ready
 * count: where none does, more of them would not either.
 */
function explore(state: ScalingState, sample: Sample, policy: ScalingPolicy, ready: number): number {
  const { replicas } = state
  if (replicas === 0) return workOf(sample) > 0 ? 1 : 0
  const ageing = sample.undeliveredAgeMs > policy.targetAgeMs / 4
  return ageing && !isStarting(state.startUp, sample.atMs) ? Math.max(replicas, 2 * Math.min(ready, replicas)) : replicas
}

function afterwards(
  state: ScalingState,
  sample: Sample,
  policy: ScalingPolicy,
  replicas: number,
  downstream: Downstream,
): ScalingState {
  const { idleSinceMs, outage, ...rest } = state
  const suspected = learnOutage(outage, state.capacity, sample)
  return {
    ...rest,
    replicas,
    capacity: learnCapacity(state.capacity, sample, perReplica(state.capacity, sample, policy.concurrency)),
    downstream,
    ...(suspected === undefined ? {} : { outage: suspected }),
    ...(replicas < state.replicas ? { lastShrinkMs: sample.atMs } : {}),
    ...(isQuiet(sample, state) ? { idleSinceMs: idleSinceMs ?? sample.atMs } : {}),
  }
}

/** After a failover to a server whose clock is behind: ages and windows mean nothing until they are timed anew. */
function holdForClock(before: ScalingState, sample: Sample, policy: ScalingPolicy): Decision {
  const replicas = clamp(before.replicas, boundsOf(policy, sample.atMs))
  return {
    replicas,
    recommended: replicas,
    reason: `the clock of Redis went back: hold at ${replicas}`,
    limitedBy: 'ClockChange',
    state: { ...restartWindows({ ...before, replicas }, sample.atMs), atMs: sample.atMs, misses: 0 },
  }
}

/** The settings above scaling: suspend, then a drained Direct mode, then Manual. */
function outranked(decision: Decision, sample: Sample | undefined, policy: ScalingPolicy): Decision {
  if (policy.suspend) return { ...decision, replicas: 0, reason: 'suspended: 0', limitedBy: 'Suspend' }
  const drained = policy.mode === 'Direct' && sample !== undefined && decision.replicas === 0
  if (policy.policy === 'Active' || drained) return decision
  const reason = `policy Manual: ${policy.replicas} (recommended ${decision.recommended}: ${decision.reason})`
  return { ...decision, replicas: policy.replicas, reason, limitedBy: 'Manual' }
}
