/**
 * Whether the Deployment's template is rolled out, as `kubectl rollout status` reports it, with one difference: growth after a rollout is
 * no rollout. The Deployment's condition Progressing shows the difference: it keeps `NewReplicaSetAvailable` until the next template.
 * Terminating pods are not in these numbers.
 *
 *   Underway ──every consumer is of the template, and available──▶ Done
 *      ├──spec.paused──▶ Paused ──resumed──▶ Underway
 *      └──nothing moves for progressDeadlineSeconds──▶ Stopped ──something moves──▶ Underway
 *
 * A Deployment that is paused or resumed after its deadline keeps the condition, so its rollout stays Stopped.
 *
 * Scaling moves `generation` as a template does. So the observed generation must reach that of the last write of the template, if known.
 * A user may restore the previous template before the newer one made pods. The Deployment then keeps `NewReplicaSetAvailable` of that
 * template's first rollout. So a condition that old proves nothing until every consumer was available once (record.ts).
 */
import type { DeploymentObject } from '../plan/deployment.ts'
import type { WrittenTemplate } from '../plan/observed.ts'

export interface Rollout {
  readonly kind: 'Done' | 'Underway' | 'Paused' | 'Stopped'
  /** Progress of the rollout; empty when done. */
  readonly text: string
}

const rolledOut = 'NewReplicaSetAvailable'
const deadlinePassed = 'ProgressDeadlineExceeded'

/** @param template undefined: the current generation may be of another template */
export function rolloutOf(deployment: DeploymentObject, template: WrittenTemplate | undefined): Rollout {
  const { spec, status = {} } = deployment
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status
  if (!isTakenUp(deployment, template))
    return { kind: 'Underway', text: 'the Deployment controller has not taken up the last change yet' }
  const wanted = spec?.replicas ?? 1
  const earlier = Math.max(0, replicas - updatedReplicas)
  const progressing = status.conditions?.find(({ type }) => type === 'Progressing')
  const stood = standingSinceOf(deployment)
  const isDone = (stood !== undefined && stood !== template?.standingSince) || (wanted === 0 && replicas === 0)
  if (earlier === 0 && isDone) return { kind: 'Done', text: '' }
  const isWhole = earlier === 0 && updatedReplicas >= wanted && availableReplicas >= updatedReplicas
  const running = `${updatedReplicas} of ${wanted} consumers run the new template, ${availableReplicas} are available`
  const text = earlier === 0 ? running : `${running}, ${earlier} of an earlier template still run`
  const held = spec?.paused === true ? `${text}; spec.paused of the Deployment is true` : text
  if (progressing?.reason === deadlinePassed)
    return { kind: 'Stopped', text: `${held}; ${(progressing.message ?? deadlinePassed).replace(/\.$/, '')}` }
  if (spec?.paused === true && !isWhole) return { kind: 'Paused', text: held }
  return isWhole ? { kind: 'Done', text: '' } : { kind: 'Underway', text }
}

/** Whether the Deployment controller has seen the last write of the template. */
export function isTakenUp({ status = {}, metadata }: DeploymentObject, template: WrittenTemplate | undefined): boolean {
  return (status.observedGeneration ?? 0) >= (template?.generation ?? metadata.generation ?? 0)
}

/** The `lastUpdateTime` of the condition that shows a rollout as done; empty where it has none. Undefined: nothing shows one. */
export function standingSinceOf({ status }: DeploymentObject): string | undefined {
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing')
  return progressing?.reason === rolledOut ? (progressing.lastUpdateTime ?? '') : undefined
}
