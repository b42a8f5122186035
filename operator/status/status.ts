/** The resource's status, from what is observed. A pure function: what should be said, not whether it is worth a write (due.ts). */

import { marksAt, roundedBytes } from '../../api/markmemory.ts'
import { mostMessage, printable } from '../../api/printable.ts'
import { type Condition, conditionTypes, type StreamPipelineStatus } from '../../api/status.ts'
import { nameLabel } from '../plan/names.ts'
import type { Observed } from '../plan/observed.ts'
import { roundAge, roundCount } from '../rounding.ts'
import { type Verdicts, verdictsOf } from './conditions.ts'
import { consumersStatus } from './consumers.ts'
import { lookOf } from './facts.ts'

const mostDecisions = 10

export function statusOf(observed: Observed, replicas: number, nowMs: number): StreamPipelineStatus {
  const { object, deployment } = observed
  const before = object.status
  // A look made for an earlier spec may be of another stream.
  const observation = lookOf(observed, nowMs)
  const sample = observation.kind === 'None' ? undefined : observation.sample
  const vanished = observation.kind === 'Seen' ? observation.vanished : []
  const generation = object.metadata.generation ?? 0
  return {
    observedGeneration: generation,
    replicas: deployment?.status?.replicas ?? 0,
    readyReplicas: deployment?.status?.readyReplicas ?? 0,
    selector: `${nameLabel}=${object.metadata.name ?? ''}`,
    ...(sample === undefined
      ? {}
      : {
          backlog: {
            undelivered: roundCount(sample.undelivered),
            pending: roundCount(sample.pending),
            quarantined: roundCount(sample.quarantined),
            oldestAge: roundAge(sample.oldestAgeMs),
            deadLettered: roundCount(sample.deadLetters),
            lost: sample.lost,
            ...(sample.missing === undefined
              ? {}
              : { unaccounted: roundCount(sample.missing.unaccounted + sample.missing.undecided) }),
          },
        }),
    ...idempotencyStatus(observed, nowMs),
    consumers: consumersStatus(observed, sample, vanished, nowMs),
    scaling: scalingStatus(observed, replicas, nowMs),
    conditions: conditions(before?.conditions ?? [], verdictsOf(observed, replicas, nowMs), generation, nowMs),
  }
}

function idempotencyStatus(observed: Observed, nowMs: number): Pick<StreamPipelineStatus, 'idempotency'> {
  const observation = lookOf(observed, nowMs)
  if (observation.kind !== 'Seen' || observed.spec.kind !== 'Sound') return {}
  const { arrivalsPerSecond } = observation
  if (arrivalsPerSecond === undefined) return {}
  const { keys, bytes } = marksAt(arrivalsPerSecond, observed.spec.pipeline.idempotency.windowMs)
  return { idempotency: { marks: roundCount(keys), memory: roundedBytes(bytes) } }
}

function scalingStatus(
  { object, observation }: Observed,
  replicas: number,
  nowMs: number,
): NonNullable<StreamPipelineStatus['scaling']> {
  const before = object.status?.scaling
  const decision = observation.kind === 'None' ? undefined : observation.decision
  if (decision === undefined) return { ...before, desiredReplicas: replicas }
  // While Redis is away the decision counts its misses; that would be a write each time.
  const reason = observation.kind === 'Failed' ? `Redis cannot be asked: ${replicas} for now` : decision.reason
  const from = before?.desiredReplicas
  const changed = from !== replicas || before?.decisions === undefined
  const step = from === undefined || from === replicas ? `starts at ${replicas}` : `${from} -> ${replicas}`
  const at = timestamp(nowMs)
  const line = printable(`${at}  ${step}  ${reason}`, 512)
  const decisions = changed ? [line, ...(before?.decisions ?? [])].slice(0, mostDecisions) : before?.decisions
  const lastScaleTime = changed ? at : before?.lastScaleTime
  return {
    desiredReplicas: replicas,
    recommendedReplicas: decision.recommended,
    reason: printable(reason, 1024),
    ...(decision.limitedBy === undefined ? {} : { limitedBy: decision.limitedBy }),
    ...(lastScaleTime === undefined ? {} : { lastScaleTime }),
    ...(decisions === undefined ? {} : { decisions }),
  }
}

function conditions(before: readonly Condition[], verdicts: Verdicts, generation: number, nowMs: number): Condition[] {
  return conditionTypes.map((type) => {
    const { status, reason, message, generation: of = generation } = verdicts[type]
    const old = before.find((condition) => condition.type === type)
    // The default status of the schema carries 1970, which is no transition of this resource.
    const kept = old !== undefined && old.status === status && !old.lastTransitionTime.startsWith('1970')
    const lastTransitionTime = kept ? old.lastTransitionTime : timestamp(nowMs)
    return { type, status, reason, message: printable(message, mostMessage), lastTransitionTime, observedGeneration: of }
  })
}

/** Whole seconds, as Kubernetes writes times. */
function timestamp(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')
}
