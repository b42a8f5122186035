/**
 * The real `decide`. Its sample is that which `observe` would make of the simulated Redis. The state is kept as by the operator: in
 * memory, and in Redis for the next one.
 */
import { type Decision, decide } from '../decide.ts'
import type { ScalingPolicy } from '../policy.ts'
import { resumed } from '../resume.ts'
import type { ConsumerSample, Sample } from '../sample.ts'
import type { ScalingState } from '../state.ts'
import { isDue, parseScalingState } from '../storedstate.ts'
import type { Scenario } from './scenario.ts'
import type { Controller, View } from './world.ts'

/** A Monday at midnight, UTC: where schedules begin to count. */
const beginsMs = Date.UTC(2026, 0, 5)

export interface Recorded {
  readonly sample: Sample | undefined
  readonly state: ScalingState | undefined
  readonly policy: ScalingPolicy
  readonly decision: Decision
}

/** Broken promises that concern every single decision. */
export interface Breaches {
  /** Decisions that would have been others without the quarantined entries. */
  poisonMoved: number
  /** Fewer replicas without a sample. */
  blindShrinks: number
  blindDecisions: number
  /** Operators that took over, and those of them whose first look took replicas away. */
  restarts: number
  restartShrinks: number
}

export const noBreaches = (): Breaches => ({ poisonMoved: 0, blindShrinks: 0, blindDecisions: 0, restarts: 0, restartShrinks: 0 })

function policyOf(scenario: Scenario): ScalingPolicy {
  return {
    ...scenario.scaling,
    suspend: false,
    mode: 'Stream',
    replicas: 1,
    maxWaiting: scenario.queue?.maxWaiting ?? 50_000,
    concurrency: scenario.slots,
  }
}

export function ours(scenario: Scenario, breaches: Breaches, record?: (recorded: Recorded) => void): Controller {
  const constant = policyOf(scenario)
  const every = Math.max(1, Math.min(5, Math.floor(constant.targetAgeMs / 4000)))
  let memory = createMemory()
  return {
    every,
    decide(view) {
      const restart = scenario.operatorRestarts.find(({ at, away }) => view.at >= at && view.at < at + away)
      if (restart !== undefined) {
        if (!memory.isNew) memory = createMemory(foundState(restart.state, memory))
        return view.desired
      }
      const policy = { ...constant, currentReplicas: view.desired }
      const sample = view.visible ? sampleOf(view) : undefined
      const isFirst = memory.found !== undefined && sample !== undefined
      const before = isFirst ? resumed(memory.found?.state, sample, policy) : memory.state
      const decision = decide(before, sample, policy)
      if (sample === undefined) {
        breaches.blindDecisions++
        if (decision.replicas < view.desired) breaches.blindShrinks++
      } else if (sample.quarantined > 0 && decide(before, withoutPoison(sample), policy).replicas !== decision.replicas) {
        breaches.poisonMoved++
      }
      if (isFirst) {
        breaches.restarts++
        if (decision.replicas < view.desired) breaches.restartShrinks++
        memory.found = undefined
      }
      record?.({ sample, state: before, policy, decision })
      remember(memory, decision.state, view.at)
      return decision.replicas
    },
  }
}

/** Of one operator. */
interface Memory {
  state: ScalingState | undefined
  /** The state that it found, before its first sample. */
  found: { readonly state: ScalingState | undefined } | undefined
  written: { readonly state: ScalingState; readonly at: number } | undefined
  /** Nothing was decided yet. */
  isNew: boolean
}

const createMemory = (found?: Memory['found']): Memory => ({
  state: undefined,
  found,
  written: undefined,
  isNew: found !== undefined,
})

function remember(memory: Memory, state: ScalingState, at: number): void {
  memory.state = state
  memory.isNew = false
  if (memory.found !== undefined) return
  const { written } = memory
  if (isDue(state, written?.state, (at - (written?.at ?? at)) * 1000)) memory.written = { state, at }
}

function foundState(kind: Scenario['operatorRestarts'][number]['state'], { written }: Memory): Memory['found'] {
  const state = written && parseScalingState(JSON.stringify(written.state))
  switch (kind) {
    case 'Stored':
      return { state }
    case 'Lost':
      return { state: undefined }
    case 'Foreign':
      return {
        state: state && {
          ...state,
          replicas: 1,
          recommended: 1,
          wanted: [],
          rush: [],
          capacity: { marks: {}, perSecond: 5_000, entries: 10_000 },
        },
      }
    default:
      throw kind satisfies never
  }
}

function withoutPoison(sample: Sample): Sample {
  return { ...sample, quarantined: 0, pending: sample.pending - sample.quarantined, deadLetters: 0 }
}

function sampleOf(view: View): Sample {
  view.settle()
  const atMs = beginsMs + view.at * 1000
  const undeliveredAgeMs = Math.round(view.oldestAge * 1000)
  return {
    atMs,
    groupExists: true,
    undelivered: view.undelivered,
    undeliveredExact: true,
    undeliveredAgeMs,
    timeIds: true,
    pending: view.pending,
    pendingAgeMs: 0,
    orphaned: view.orphaned,
    quarantined: view.quarantined,
    oldestAgeMs: undeliveredAgeMs,
    deadLetters: view.backlog.dead,
    queueWaiting: view.queueWaiting,
    entriesAdded: view.backlog.added,
    lost: 0,
    consumers: consumersOf(view, atMs),
  }
}

function consumersOf({ pods, slots, at }: View, atMs: number): ConsumerSample[] {
  const consumers: ConsumerSample[] = []
  for (const pod of pods) {
    if (pod.state === 'Starting' || pod.state === 'Gone') continue
    let inFlight = 0
    for (const slot of pod.slots) if ((slots.freeAt[slot] as number) > at) inFlight++
    const uid = `uid-${pod.id}`
    consumers.push({
      name: `pod-${pod.id}`,
      uid,
      pending: inFlight,
      idleMs: 0,
      heartbeat: {
        uid,
        // The heartbeats of every other replica are dated one second earlier, but hold the values of this moment. Looks are as far
        // apart as heartbeats, so the intervals agree.
        at: atMs - (pod.id % 2) * 1000,
        state: pod.state,
        inFlight,
        serviceMs: pod.serviceMs,
        path: 'Portable',
        forwarded: pod.settled,
        duplicates: 0,
        dead: 0,
        reclaimed: 0,
      },
    })
  }
  return consumers
}
