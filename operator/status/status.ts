/** The resource's status, from what is observed. A pure function: what should be said, not whether it is worth a write (due.ts). */

import type { CompiledPipeline } from '../../api/compiled.ts'
import { marksAt, roundedBytes } from '../../api/markmemory.ts'
import { mostMessage, printable } from '../../api/printable.ts'
import { type Condition, conditionTypes, type StreamPipelineStatus } from '../../api/status.ts'
import type { Decision } from '../../scaling/decide.ts'
import { isPaused, nameLabel, reconcileAnnotation } from '../plan/names.ts'
import type { Observation, Observed } from '../plan/observed.ts'
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

function scalingStatus(observed: Observed, replicas: number, nowMs: number): NonNullable<StreamPipelineStatus['scaling']> {
  const { object, observation, spec } = observed
  const { limitedBy: _, ...before } = object.status?.scaling ?? {}
  const decision = observation.kind === 'None' ? undefined : observation.decision
  const recommended = decision === undefined ? {} : { recommendedReplicas: decision.recommended }
  // The operator writes no number. The Deployment's may be a person's, which is no decision.
  if (spec.kind === 'Unsound') return { ...object.status?.scaling, desiredReplicas: replicas }
  if (isPaused(object))
    return { ...before, ...recommended, desiredReplicas: replicas, reason: `${reconcileAnnotation}: disabled` }
  const cause = causeOf(spec.pipeline, observation, replicas)
  if (cause === undefined) return { ...object.status?.scaling, desiredReplicas: replicas }
  const from = before.desiredReplicas
  const changed = from !== replicas || before.decisions === undefined
  const step = from === undefined || from === replicas ? `starts at ${replicas}` : `${from} -> ${replicas}`
  const at = timestamp(nowMs)
  const line = printable(`${at}  ${step}  ${cause.reason}`, 512)
  const decisions = changed ? [line, ...(before.decisions ?? [])].slice(0, mostDecisions) : before.decisions
  const lastScaleTime = changed ? at : before.lastScaleTime
  return {
    ...(before.recommendedReplicas === undefined ? {} : { recommendedReplicas: before.recommendedReplicas }),
    ...recommended,
    desiredReplicas: replicas,
    reason: printable(cause.reason, 1024),
    ...(cause.limitedBy === undefined ? {} : { limitedBy: cause.limitedBy }),
    ...(lastScaleTime === undefined ? {} : { lastScaleTime }),
    ...(decisions === undefined ? {} : { decisions }),
  }
}

type Cause = Pick<Decision, 'reason' | 'limitedBy'>

/** Returns the cause of the number. A number of the spec needs no look at Redis, and the last look may be of an earlier spec. */
function causeOf({ suspend, scaling, mode }: CompiledPipeline, observation: Observation, replicas: number): Cause | undefined {
  if (suspend) return { reason: 'suspended: 0', limitedBy: 'Suspend' }
  const decision = observation.kind === 'None' ? undefined : observation.decision
  const isCurrent = observation.kind === 'Seen' && decision?.limitedBy === 'Manual' && decision.replicas === replicas
  if (scaling.policy === 'Manual' && mode === 'Stream' && !isCurrent)
    return { reason: `policy Manual: ${replicas}`, limitedBy: 'Manual' }
  if (decision === undefined || observation.kind !== 'Failed') return decision
  // While Redis is away the decision counts its misses; that would be a write each time.
  return { ...decision, reason: `Redis cannot be asked: ${replicas} for now` }
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
