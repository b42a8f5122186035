/**
 * The operator's decision about one pipeline, as a pure function: what to apply, what to delete, how many replicas, what to say
 * in status and Events, and when to look again. It never learns which event woke it. The shell (reconcile.ts) gathers what is
 * observed, carries the plan out, and asks again for the status where something could not be carried out.
 */
import type { StreamPipelineStatus } from '../../api/status.ts'
import { controllerOf } from '../kubernetes/objects.ts'
import type { EventNote } from '../kubernetes/recorder.ts'
import { statusDue } from '../status/due.ts'
import { eventsOf } from '../status/events.ts'
import { statusOf } from '../status/status.ts'
import { type DesiredChild, desiredChildren, prunedTypes } from './children.ts'
import { modeToPublish } from './mode.ts'
import { isPaused } from './names.ts'
import type { Observed } from './observed.ts'
import { desiredReplicas } from './replicas.ts'

export interface Plan {
  readonly apply: readonly DesiredChild[]
  readonly delete: readonly DesiredChild[]
  /** Of the consumers' Deployment; undefined where children are left alone. */
  readonly replicas?: number
  /** What producers are told; undefined where children are left alone. */
  readonly mode?: 'Stream' | 'Direct'
  /** What status should be. Written only when `writeStatus`. */
  readonly status: StreamPipelineStatus
  readonly writeStatus: boolean
  /** To be recorded once the status was written, since the written status is what later transitions are measured against. */
  readonly events: readonly EventNote[]
  readonly requeueAfterMs?: number
}

/** What is said of it: the part of the plan that is made anew once the rest was carried out, faults and all. */
export type Report = Pick<Plan, 'status' | 'writeStatus' | 'events' | 'requeueAfterMs'>

/** @param nowMs wall-clock milliseconds */
export function report(observed: Observed, nowMs: number): Report {
  const status = statusOf(observed, desiredReplicas(observed, nowMs), nowMs)
  const due = statusDue(observed.object.status, status, observed.statusWrittenMs, observed.settings.numbersEveryMs, nowMs)
  // The first look follows within seconds: what stands is told until then, or each start would write every status twice.
  const unseen =
    observed.observation.kind === 'None' &&
    observed.spec.kind === 'Sound' &&
    observed.faults.length === 0 &&
    observed.references.every(({ kind }) => kind === 'Found')
  const writeStatus = due.kind === 'Now' && !unseen
  const waits = [
    ...(observed.references.length > 0 ? [observed.settings.referencesEveryMs] : []),
    ...(due.kind === 'Later' ? [due.afterMs] : []),
  ]
  return {
    status,
    writeStatus,
    events: writeStatus ? eventsOf(observed.object.status, status) : [],
    ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }),
  }
}

/** @param nowMs wall-clock milliseconds */
export function plan(observed: Observed, nowMs: number): Plan {
  const reporting = report(observed, nowMs)
  if (observed.spec.kind === 'Unsound' || isPaused(observed.object)) return { ...reporting, apply: [], delete: [] }
  const mode = modeToPublish(observed, observed.spec.pipeline)
  const apply = desiredChildren(observed, observed.spec, mode)
  return { ...reporting, mode, replicas: desiredReplicas(observed, nowMs), apply, delete: superfluous(observed, apply) }
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
