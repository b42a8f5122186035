/** The report on one pipeline, a pure function of the observed state: its status, its Events, and the time of the next look. */
import type { StreamPipelineStatus } from '../api/status.ts'
import type { EventNote } from './kubernetes/eventwriter.ts'
import type { Observed } from './plan/observed.ts'
import { desiredReplicas } from './plan/replicas.ts'
import { type StatusDue, statusDue } from './status/due.ts'
import { eventsOf } from './status/events.ts'
import { isOldLook, lookOf } from './status/facts.ts'
import { isLeaving, isReady } from './status/pods/problem.ts'
import { isTakenUp } from './status/rollout.ts'
import { statusOf } from './status/status.ts'

/** Its status and Events, with the failures of carrying the plan out. */
export interface Report {
  /** Written only when `writeStatus`. */
  readonly status: StreamPipelineStatus
  readonly writeStatus: boolean
  /** To be recorded once the status was written, since the written status is what later transitions are measured against. */
  readonly events: readonly EventNote[]
  readonly requeueAfterMs?: number
}

/** @param nowMs wall-clock milliseconds */
export function report(observed: Observed, nowMs: number): Report {
  const status = statusOf(observed, desiredReplicas(observed, nowMs), nowMs)
  const due =
    awaitedLook(observed, nowMs) ??
    awaitedController(observed, nowMs) ??
    nextLook(observed, dueOf(observed, status, nowMs), nowMs)
  const writeStatus = due.kind === 'Now'
  const waits = [
    ...(observed.references.length > 0 ? [observed.settings.referencesEveryMs] : []),
    ...(due.kind === 'Later' ? [due.afterMs] : []),
    // A pod's lack of progress shows by time alone, without a change to watch.
    ...(observed.pods.every((pod) => isReady(pod) || isLeaving(pod)) ? [] : [podsEveryMs]),
  ]
  return {
    status,
    writeStatus,
    events: writeStatus ? eventsOf(observed.object.status, status) : [],
    ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }),
  }
}

/** A look takes milliseconds, or as long as the timeout for a silent server. */
const lookMs = 5_000
/** After a start each pipeline has to have its turn. */
const firstLookMs = 60_000
const podsEveryMs = 10_000

/**
 * The look at this spec's Redis follows within seconds. Until then the current status stands: it names the generation it is of. Otherwise
 * each start, and each change of a spec, would write every status twice.
 */
function awaitedLook(observed: Observed, nowMs: number): StatusDue | undefined {
  const { object, spec, failures, references, specSinceMs = nowMs } = observed
  const isAwaited =
    lookOf(observed, nowMs).kind === 'None' &&
    spec.kind === 'Sound' &&
    failures.length === 0 &&
    references.every(({ kind }) => kind === 'Found')
  if (!isAwaited) return undefined
  const { observedGeneration } = object.status ?? {}
  const isAnother = observedGeneration !== undefined && observedGeneration !== object.metadata.generation
  const leftMs = specSinceMs + (isAnother ? lookMs : firstLookMs) - nowMs
  return leftMs > 0 ? { kind: 'Later', afterMs: leftMs } : undefined
}

/** The Deployment controller takes a new template up in a tenth of that, where it runs. */
const controllerMs = 1_000

/**
 * The Deployment controller is about to see the template of this spec. Its answer changes the Deployment, which queues the pipeline. Until
 * then a status could only report that nothing is known, and each change of a spec would write one more.
 */
function awaitedController(observed: Observed, nowMs: number): StatusDue | undefined {
  const { object, deployment, template, failures, specSinceMs = nowMs } = observed
  const isReported = object.status?.observedGeneration === object.metadata.generation
  if (isReported || failures.length > 0 || deployment === undefined || isTakenUp(deployment, template)) return undefined
  const leftMs = specSinceMs + controllerMs - nowMs
  return leftMs > 0 ? { kind: 'Later', afterMs: leftMs } : undefined
}

const againMs = 250

/** A look is due or under way. Until it ends the status stands, since a new status would rest on an old look. */
function nextLook(observed: Observed, due: StatusDue, nowMs: number): StatusDue {
  if (due.kind !== 'Now' || lookOf(observed, nowMs).kind === 'None') return due
  return isOldLook(observed, nowMs) ? { kind: 'Later', afterMs: againMs } : due
}

function dueOf({ object, settings, statusWrittenMs }: Observed, status: StreamPipelineStatus, nowMs: number): StatusDue {
  return statusDue(object.status, status, statusWrittenMs, settings.numbersEveryMs, nowMs)
}
