/**
 * The operator's decision about one pipeline, in pure functions of the observed state. First comes its target: the mode of
 * producers, and the number of replicas. Then come the objects to apply and to delete. No function learns which event led to it.
 * The shell (reconcile.ts) gathers the state, carries the plan out, and then makes a report (report.ts).
 */
import { createHmac } from 'node:crypto'
import { controllerOf } from '../kubernetes/objects.ts'
import { type DesiredChild, desiredChildren, prunedTypes } from './children.ts'
import { configMapType, deploymentType } from './kinds.ts'
import { modeToPublish } from './mode.ts'
import { isPaused } from './names.ts'
import type { Observed } from './observed.ts'
import { desiredReplicas } from './replicas.ts'

export interface Target {
  /** Of the consumers' Deployment. */
  readonly replicas: number
  /** The mode that producers get. */
  readonly mode: 'Stream' | 'Direct'
}

export interface Plan {
  readonly apply: readonly DesiredChild[]
  readonly delete: readonly DesiredChild[]
}

/** Kinds that show how many consumers run and which mode producers got. */
const essential: readonly string[] = [deploymentType.kind, configMapType.kind]

/**
 * Undefined where children are left alone.
 * @param nowMs wall-clock milliseconds
 */
export function targetOf(observed: Observed, nowMs: number): Target | undefined {
  if (observed.spec.kind === 'Unsound' || isPaused(observed.object)) return undefined
  if (observed.dark?.some(({ kind, known }) => !known && essential.includes(kind)) === true) return undefined
  return { mode: modeToPublish(observed, observed.spec.pipeline), replicas: desiredReplicas(observed, nowMs) }
}

export function plan(observed: Observed, target: Target | undefined): Plan {
  if (observed.spec.kind === 'Unsound' || target === undefined) return { apply: [], delete: [] }
  const apply = desiredChildren(observed, observed.spec, target.mode)
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
export function fingerprintOf(
  { object, settings, references, children, dark = [] }: Observed,
  target: Target | undefined,
): string {
  const { uid, generation } = object.metadata
  const found = children.map(({ kind, metadata }) => {
    const owners = metadata.ownerReferences?.map((owner) => [owner.uid, owner.controller])
    const labels = Object.entries(metadata.labels ?? {}).sort()
    return JSON.stringify([kind, metadata.uid, metadata.generation ?? metadata.resourceVersion, owners, labels])
  })
  const referred = references.map((state) => (state.kind === 'Found' ? state.value : state.error.code))
  const unwatched = dark.map(({ kind, known }) => [kind, known])
  return createHmac('sha256', settings.signingKey)
    .update(JSON.stringify([uid, generation, target, found.sort(), referred, unwatched]))
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
