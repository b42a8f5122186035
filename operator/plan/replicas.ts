/**
 * The number of consumers that the Deployment gets, and the owner of that field. The main manager must not own `spec.replicas`, or it would undo the scaler. But a Deployment created
 * without the field starts one pod even where zero is meant, and the field falls back to one if its only owner drops it. Hence the
 * sequence at creation: the main manager creates with N, the scaler applies N, and the main manager drops the field. After that
 * each applies its own part only.
 */

import type { KubernetesObject } from '../kubernetes/objects.ts'
import type { ApplyStage } from '../kubernetes/serversideapply.ts'
import type { DeploymentObject } from './deployment.ts'
import { deploymentType, mainManager, scalerManager } from './kinds.ts'
import { isPaused } from './names.ts'
import type { Observed } from './observed.ts'

/** Consumers that should run now. Where the operator changes nothing, it is the number that the Deployment has. */
export function desiredReplicas(observed: Observed, nowMs: number): number {
  const { object, spec, observation, deployment } = observed
  if (spec.kind === 'Unsound' || isPaused(object)) return deployment?.spec?.replicas ?? 0
  const { pipeline } = spec
  // A number in the spec takes no look at Redis, and the last look may be one of an earlier spec.
  if (pipeline.suspend) return 0
  if (pipeline.scaling.policy === 'Manual' && pipeline.mode === 'Stream') return pipeline.replicas
  if (observation.kind !== 'None') {
    const { replicas } = observation.decision
    return pipeline.mode === 'Stream' ? replicas : whileDraining(observed, observation, replicas, nowMs)
  }
  // Not looked at Redis yet: keep what runs, else the least that is sure to be wanted.
  if (pipeline.scaling.policy === 'Manual') return pipeline.replicas
  return deployment?.spec?.replicas ?? (pipeline.mode === 'Direct' ? 0 : pipeline.scaling.minReplicas)
}

/**
 * Under Direct, one consumer stays until the stream has been settled and quiet for long enough: producers learn of the mode with
 * delay. A late entry brings it back. A pipeline at zero with nothing to do is not woken for that.
 */
function whileDraining(
  { deployment, settings }: Observed,
  observation: Exclude<Observed['observation'], { kind: 'None' }>,
  replicas: number,
  nowMs: number,
): number {
  const current = deployment?.spec?.replicas ?? 0
  if (observation.kind === 'Failed') return replicas
  const { sample, quietSinceMs } = observation
  if (sample.undelivered + sample.pending > 0) return Math.max(1, replicas)
  const settledForMs = quietSinceMs === undefined ? 0 : nowMs - quietSinceMs
  return current === 0 || settledForMs >= settings.quietMs ? 0 : Math.max(1, replicas)
}

/** The scaler's part of the Deployment: that one field. */
export function scale(name: string, namespace: string | undefined, replicas: number): KubernetesObject {
  return {
    apiVersion: deploymentType.apiVersion,
    kind: deploymentType.kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec: { replicas },
  } as KubernetesObject
}

export function deploymentStages(desired: DeploymentObject, replicas: number, live: DeploymentObject | undefined): ApplyStage[] {
  const { name = '', namespace } = desired.metadata
  const withoutReplicas: ApplyStage = { manager: mainManager, object: desired }
  const scaling = (n: number): ApplyStage => ({ manager: scalerManager, object: scale(name, namespace, n) })
  if (live === undefined) {
    // Without the mark of a finished apply, so that a creation cut short between its steps is taken up again.
    const { annotations: _, ...unmarked } = desired.metadata
    const withReplicas = { ...desired, metadata: unmarked, spec: { ...desired.spec, replicas } }
    return [{ manager: mainManager, object: withReplicas }, scaling(replicas), withoutReplicas]
  }
  if (mainOwnsReplicas(live)) return [scaling(live.spec?.replicas ?? replicas), withoutReplicas]
  return [withoutReplicas]
}

/** A creation that was cut short between its steps left the field with the main manager. */
function mainOwnsReplicas(live: KubernetesObject): boolean {
  return (live.metadata.managedFields ?? []).some(({ manager, fieldsV1 }) => {
    const spec = fieldsV1?.['f:spec']
    return manager === mainManager && typeof spec === 'object' && spec !== null && 'f:replicas' in spec
  })
}
