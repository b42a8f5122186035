/** The real `decide`, fed with the sample that `observe` would make of the simulated Redis. */
import { type Decision, decide } from '../decide.ts'
import type { ScalingPolicy } from '../policy.ts'
import type { ConsumerSample, Sample } from '../sample.ts'
import type { ScalingState } from '../state.ts'
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

/** What went wrong with the promises that are about every single decision. */
export interface Breaches {
  /** Decisions that would have been others without the quarantined entries. */
  poisonMoved: number
  /** Fewer replicas without a sample. */
  blindShrinks: number
  blindDecisions: number
}

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
  let state: ScalingState | undefined
  return {
    every,
    decide(view) {
      const before = state
      const policy = { ...constant, currentReplicas: view.desired }
      const sample = view.visible ? sampleOf(view) : undefined
      const decision = decide(before, sample, policy)
      if (sample === undefined) {
        breaches.blindDecisions++
        if (decision.replicas < view.desired) breaches.blindShrinks++
      } else if (sample.quarantined > 0 && decide(before, withoutPoison(sample), policy).replicas !== decision.replicas) {
        breaches.poisonMoved++
      }
      record?.({ sample, state: before, policy, decision })
      state = decision.state
      return decision.replicas
    },
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
        // Every other is a second old. What it tells is of this moment all the same, two looks being as far apart as their beats.
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
