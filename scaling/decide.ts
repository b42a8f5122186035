/**
 * How many consumers there should be: a pure function of what was remembered, what was seen, and what the resource says. The
 * clock is the sample's, so a recorded run decides the same again.
 *
 * In order: suspend outranks everything. Without a sample nothing is known, so nothing shrinks. A clock that went back, or a
 * long silence, restarts whatever was timed. Then the formula (sizing.ts) proposes and the guards (guards.ts) hold it back.
 * Under Manual the same is computed and reported as `recommended`, and spec.replicas is what is decided; under mode Direct the
 * lower bound is zero, and once nothing is left that outranks Manual, too.
 */
import { rememberArrival } from './arrivalhistory.ts'
import { arrivalRate } from './arrivals.ts'
import { learnCapacity, perReplica } from './capacity.ts'
import { type Downstream, learnDownstream, watching } from './downstream.ts'
import { guards, isQuiet, type LimitedBy, type Proposal, type Situation } from './guards.ts'
import { keepMs } from './keeping.ts'
import { learnOutage, readmittedOf } from './outage.ts'
import { type Bounds, boundsOf, clamp, type ScalingPolicy } from './policy.ts'
import { count, tell } from './reasons.ts'
import { readyOf, type Sample, workOf } from './sample.ts'
import { serviceOf } from './service.ts'
import { clearMs, neededReplicas, wholeReplicas } from './sizing.ts'
import { awaitReplicas, isStarting, learnStartUp, startUpMs } from './startup.ts'
import { initialState, lossAfter, remember, restartWindows, type ScalingState } from './state.ts'

export interface Decision {
  readonly replicas: number
  /** What the formula would run; differs from `replicas` under Manual and Suspend. */
  readonly recommended: number
  /** One line for a person. */
  readonly reason: string
  readonly limitedBy?: LimitedBy
  readonly state: ScalingState
}

export function decide(state: ScalingState | undefined, sample: Sample | undefined, policy: ScalingPolicy): Decision {
  const before = state ?? initialState(sample, policy)
  const decision = sample === undefined ? decideBlind(before, policy) : decideSeeing(before, sample, policy)
  return outranked(decision, sample, policy)
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
  const startUp = learnStartUp(timed.startUp, ready, sample.atMs)
  const arrivals = rememberArrival(timed.arrivals, { atMs: sample.atMs, added: sample.entriesAdded })
  const rate = arrivalRate(arrivals)
  const speed = perReplica(timed.capacity, sample, policy.concurrency)
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
  const wanted = needed === undefined ? explore(timed, sample, policy) : wholeReplicas(needed, current, rate.noise)
  // What catching up took is not needed again once that is done, so only what keeping up took is remembered against shrinking.
  const lasting = needed === undefined ? wanted : wholeReplicas({ ...needed, catchUp: 0 }, current, rate.noise)
  const state: ScalingState = {
    ...timed,
    atMs: sample.atMs,
    replicas: current,
    misses: 0,
    arrivals,
    startUp,
    rush: remember(
      workOf(sample) === 0 ? [] : timed.rush,
      { atMs: sample.atMs, replicas: wanted },
      clearMs(pace) + pace.startUpMs,
    ),
    wanted: remember(
      timed.wanted,
      { atMs: sample.atMs, replicas: lasting },
      keepMs(policy, startUp, serviceOf(sample, timed.capacity.service)),
    ),
    ...(sample.undeliveredAgeMs > policy.targetAgeMs ? { lastLateMs: sample.atMs } : {}),
  }
  const situation: Situation = { sample, state, policy, bounds, wanted }
  const learned = learnDownstream(timed.downstream ?? watching, {
    sample,
    previousMs: timed.atMs,
    capacity: timed.capacity,
    arrivals: rate.perSecond,
    perReplica: speed,
    policy,
  })
  const settled = guards.reduce<Proposal>((proposal, guard) => guard(proposal, situation), { replicas: wanted })
  const { replicas } = settled
  return {
    replicas,
    recommended: replicas,
    reason: tell({
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

/** While the speed of a replica is unknown: one to learn it, doubled once per start-up while entries age. */
function explore(state: ScalingState, sample: Sample, policy: ScalingPolicy): number {
  if (state.replicas === 0) return workOf(sample) > 0 ? 1 : 0
  const ageing = sample.undeliveredAgeMs > policy.targetAgeMs / 4
  return ageing && !isStarting(state.startUp, sample.atMs) ? state.replicas * 2 : state.replicas
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
    startUp: awaitReplicas(state.startUp, state.replicas, replicas, sample.atMs),
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

/** What stands above scaling: suspend, then a drained Direct mode, then Manual. */
function outranked(decision: Decision, sample: Sample | undefined, policy: ScalingPolicy): Decision {
  if (policy.suspend) {
    const state = { ...decision.state, replicas: 0 }
    return { ...decision, replicas: 0, reason: 'suspended: 0', limitedBy: 'Suspend', state }
  }
  const drained = policy.mode === 'Direct' && sample !== undefined && decision.replicas === 0
  if (policy.policy === 'Active' || drained) return decision
  const reason = `policy Manual: ${policy.replicas} (recommended ${decision.recommended}: ${decision.reason})`
  return { ...decision, replicas: policy.replicas, reason, limitedBy: 'Manual' }
}
