/**
 * Whether the Deployment's template is rolled out, as `kubectl rollout status` reports it, with one difference: growth after a rollout is
 * no rollout. The Deployment's condition Progressing shows the difference: it keeps `NewReplicaSetAvailable` until the next template.
 * Terminating pods are not in these numbers.
 *
 *   Underway ──every consumer is of the template, and available──▶ Done
 *      ├──spec.paused──▶ Paused ──resumed──▶ Underway
 *      └──nothing moves for progressDeadlineSeconds──▶ Stopped ──something moves──▶ Underway
 *
 * Scaling moves `generation` as a template does. So the observed generation must reach that of the last write of the template, if known.
 */
import type { DeploymentObject } from '../plan/deployment.ts'

export interface Rollout {
  readonly kind: 'Done' | 'Underway' | 'Paused' | 'Stopped'
  /** Progress of the rollout; empty when done. */
  readonly text: string
}

const rolledOut = 'NewReplicaSetAvailable'
const deadlinePassed = 'ProgressDeadlineExceeded'

export function rolloutOf(deployment: DeploymentObject, templateGeneration: number | undefined): Rollout {
  const { spec, status = {}, metadata } = deployment
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status
  if (observedGeneration < (templateGeneration ?? metadata.generation ?? 0))
    return { kind: 'Underway', text: 'the Deployment controller has not taken up the last change yet' }
  const wanted = spec?.replicas ?? 1
  const earlier = Math.max(0, replicas - updatedReplicas)
  const progressing = status.conditions?.find(({ type }) => type === 'Progressing')
  const isDone = progressing?.reason === rolledOut || (wanted === 0 && replicas === 0)
  if (earlier === 0 && isDone) return { kind: 'Done', text: '' }
  const isWhole = earlier === 0 && updatedReplicas >= wanted && availableReplicas >= updatedReplicas
  const running = `${updatedReplicas} of ${wanted} consumers run the new template, ${availableReplicas} are available`
  const text = earlier === 0 ? running : `${running}, ${earlier} of an earlier template still run`
  if (spec?.paused === true && !isWhole) return { kind: 'Paused', text: `${text}; spec.paused of the Deployment is true` }
  if (progressing?.reason === deadlinePassed)
    return { kind: 'Stopped', text: `${text}; ${progressing.message ?? deadlinePassed}` }
  return isWhole ? { kind: 'Done', text: '' } : { kind: 'Underway', text }
}
