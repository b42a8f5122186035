/**
 * The operator's decision about one pipeline, in pure functions of what is observed: first its course (what producers are told,
 * how many replicas), then what to apply and to delete, and, once that was carried out, what to say in status and Events and when to
 * look again. None learns which event woke it. The shell (reconcile.ts) gathers what is observed and carries the plan out.
 */
import { createHmac } from 'node:crypto'
import type { StreamPipelineStatus } from '../../api/status.ts'
import { controllerOf } from '../kubernetes/objects.ts'
import type { EventNote } from '../kubernetes/recorder.ts'
import { type StatusDue, statusDue } from '../status/due.ts'
import { eventsOf } from '../status/events.ts'
import { isOldLook, lookOf } from '../status/facts.ts'
import { isLeaving, isReady } from '../status/pods/trouble.ts'
import { statusOf } from '../status/status.ts'
import { type DesiredChild, desiredChildren, prunedTypes } from './children.ts'
import { configMapType, deploymentType } from './kinds.ts'
import { modeToPublish } from './mode.ts'
import { isPaused } from './names.ts'
import type { Observed } from './observed.ts'
import { desiredReplicas } from './replicas.ts'

export interface Course {
  /** Of the consumers' Deployment. */
  readonly replicas: number
  /** What producers are told. */
  readonly mode: 'Stream' | 'Direct'
}

export interface Plan {
  readonly apply: readonly DesiredChild[]
  readonly delete: readonly DesiredChild[]
}

/** What is said of it, faults of carrying the plan out and all. */
export interface Report {
  /** What status should be. Written only when `writeStatus`. */
  readonly status: StreamPipelineStatus
  readonly writeStatus: boolean
  /** To be recorded once the status was written, since the written status is what later transitions are measured against. */
  readonly events: readonly EventNote[]
  readonly requeueAfterMs?: number
}

/** @param nowMs wall-clock milliseconds */
export function report(observed: Observed, nowMs: number): Report {
  const status = statusOf(observed, desiredReplicas(observed, nowMs), nowMs)
  const due = awaitedLook(observed, nowMs) ?? nextLook(observed, dueOf(observed, status, nowMs), nowMs)
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
  const { object, spec, faults, references, specSinceMs = nowMs } = observed
  const isAwaited =
    lookOf(observed, nowMs).kind === 'None' &&
    spec.kind === 'Sound' &&
    faults.length === 0 &&
    references.every(({ kind }) => kind === 'Found')
  if (!isAwaited) return undefined
  const { observedGeneration } = object.status ?? {}
  const isAnother = observedGeneration !== undefined && observedGeneration !== object.metadata.generation
  const leftMs = specSinceMs + (isAnother ? lookMs : firstLookMs) - nowMs
  return leftMs > 0 ? { kind: 'Later', afterMs: leftMs } : undefined
}

const againMs = 250

/** A look is due or under way: until it ends the status stands, since it would rest on an old one. */
function nextLook(observed: Observed, due: StatusDue, nowMs: number): StatusDue {
  if (due.kind !== 'Now' || lookOf(observed, nowMs).kind === 'None') return due
  return isOldLook(observed, nowMs) ? { kind: 'Later', afterMs: againMs } : due
}

function dueOf({ object, settings, statusWrittenMs }: Observed, status: StreamPipelineStatus, nowMs: number): StatusDue {
  return statusDue(object.status, status, statusWrittenMs, settings.numbersEveryMs, nowMs)
}

/** Kinds that show how many consumers run and which mode producers got. */
const essential: readonly string[] = [deploymentType.kind, configMapType.kind]

/**
 * Undefined where children are left alone.
 * @param nowMs wall-clock milliseconds
 */
export function courseOf(observed: Observed, nowMs: number): Course | undefined {
  if (observed.spec.kind === 'Unsound' || isPaused(observed.object)) return undefined
  if (observed.dark?.some(({ kind, known }) => !known && essential.includes(kind)) === true) return undefined
  return { mode: modeToPublish(observed, observed.spec.pipeline), replicas: desiredReplicas(observed, nowMs) }
}

export function plan(observed: Observed, course: Course | undefined): Plan {
  if (observed.spec.kind === 'Unsound' || course === undefined) return { apply: [], delete: [] }
  const apply = desiredChildren(observed, observed.spec, course.mode)
  // A reference that cannot be read may be the reason for an object.
  const isUnknown = observed.references.some(({ kind }) => kind === 'Unknown')
  return { apply, delete: isUnknown ? [] : superfluous(observed, apply) }
}

/**
 * A digest of everything a plan rests on. While it equals the one of the last complete run, the plan has nothing to do. So a pipeline of
 * which only numbers change costs neither the making of its objects nor their comparison.
 *
 * A Deployment's `generation` moves neither with its status nor with its metadata. A kind without a generation changes only by another
 * writer.
 */
export function basisOf({ object, settings, references, children, dark = [] }: Observed, course: Course | undefined): string {
  const { uid, generation } = object.metadata
  const found = children.map(({ kind, metadata }) => {
    const owners = metadata.ownerReferences?.map((owner) => [owner.uid, owner.controller])
    const labels = Object.entries(metadata.labels ?? {}).sort()
    return JSON.stringify([kind, metadata.uid, metadata.generation ?? metadata.resourceVersion, owners, labels])
  })
  const referred = references.map((state) => (state.kind === 'Found' ? state.value : state.error.code))
  const unwatched = dark.map(({ kind, known }) => [kind, known])
  return createHmac('sha256', settings.signingKey)
    .update(JSON.stringify([uid, generation, course, found.sort(), referred, unwatched]))
    .digest('base64url')
}

/** Our own children of kinds that come and go, no longer wanted. */
function superfluous(observed: Observed, wanted: readonly DesiredChild[]): DesiredChild[] {
  const { uid } = observed.object.metadata
  return observed.children.flatMap((object) => {
    const type = prunedTypes.find(({ kind }) => kind === object.kind)
    if (type === undefined || controllerOf(object)?.uid !== uid) return []
    const stays = wanted.some((child) => child.type.kind === object.kind && child.object.metadata.name === object.metadata.name)
    return stays ? [] : [{ type, object }]
  })
}
