/**
 * The obstacles that keep consumers from running, of the Deployment and of its pods. The order is: refused pods, a rollout that is
 * paused or has stopped, and pods that exist but do not run.
 */
import type { DeploymentObject } from '../plan/deployment.ts'
import { consumerName } from '../plan/names.ts'
import type { Observed } from '../plan/observed.ts'
import type { PodProblem } from './pods/finding.ts'
import { isLeaving, problemOf } from './pods/problem.ts'
import type { ConditionReason } from './reasons.ts'
import type { Rollout } from './rollout.ts'

export interface Obstacle {
  readonly reason: ConditionReason
  /** Object, cause and remedy. */
  readonly text: string
}

/** Reasons of pods, most telling first. */
const order: readonly PodProblem['reason'][] = [
  'ContainerNotCreated',
  'ImagePullFailed',
  'ConsumersCrashing',
  'VolumeNotMounted',
  'SandboxNotCreated',
  'Unschedulable',
  'NodeLost',
  'ContainersInitializing',
  'ConsumersNotReady',
  'ConsumersStuck',
  'PodsEnded',
]

export function obstaclesOf(
  observed: Observed,
  rollout: Rollout | undefined,
  replicas: number,
  nowMs: number,
): readonly Obstacle[] {
  const { deployment, object } = observed
  if (deployment === undefined) return []
  const { name = '', namespace = '' } = object.metadata
  const subject = `Deployment ${consumerName(name)}`
  const target = `${namespace} deployment/${consumerName(name)}`
  const found = [refused(deployment, subject), halted(deployment, rollout, subject, target)]
  return [...found.filter((each) => each !== undefined), ...ofPods(observed, rollout, replicas, nowMs)]
}

/** A quota, a policy or a missing ServiceAccount keeps the ReplicaSet from making pods, or more pods. */
function refused({ status }: DeploymentObject, subject: string): Obstacle | undefined {
  const failure = status?.conditions?.find((each) => each.type === 'ReplicaFailure' && each.status === 'True')
  if (failure === undefined) return undefined
  const remedy =
    'Raise the quota, or change spec.consumer so that the named policy admits the pods; if an object is missing, create it'
  return { reason: 'PodsRefused', text: `${subject}: ${failure.message ?? failure.reason ?? 'its pods are refused'}. ${remedy}` }
}

function halted({ spec }: DeploymentObject, rollout: Rollout | undefined, subject: string, target: string): Obstacle | undefined {
  const isStopped = rollout?.kind === 'Stopped' && spec?.paused === true
  if (rollout === undefined || !(rollout.kind === 'Paused' || isStopped)) return undefined
  return { reason: 'RolloutPaused', text: `${subject}: ${rollout.text}. Resume it with kubectl rollout resume -n ${target}` }
}

function ofPods(
  { deployment, pods, podEvents }: Observed,
  rollout: Rollout | undefined,
  replicas: number,
  nowMs: number,
): Obstacle[] {
  const ready = deployment?.status?.readyReplicas ?? 0
  const isWhole = ready >= replicas && rollout?.kind === 'Done'
  const problems = pods
    .filter((pod) => !isLeaving(pod))
    .map((pod) => problemOf(pod, nowMs, podEvents?.get(pod.metadata.uid ?? '')))
    .filter((problem) => problem !== undefined)
    // Ended pods stay listed for long; they were replaced.
    .filter(({ reason }) => !isWhole || reason !== 'PodsEnded')
    .toSorted((a, b) => order.indexOf(a.reason) - order.indexOf(b.reason) || (a.pod < b.pod ? -1 : 1))
  const reasons = [...new Set(problems.map(({ reason }) => reason))]
  return reasons.flatMap((reason) => {
    const [first, ...others] = problems.filter((problem) => problem.reason === reason)
    if (first === undefined) return []
    const more = others.length === 0 ? '' : ` (the same holds for ${others.length} more)`
    const room = reason === 'Unschedulable' ? inTheWay(deployment) : ''
    return [{ reason, text: `Pod ${first.pod}: ${first.detail}${more}. ${first.remedy}${room}` }]
  })
}

/** New pods come before old ones go: on full nodes each waits for the other. */
function inTheWay(deployment: DeploymentObject | undefined): string {
  const { replicas = 0, updatedReplicas = 0 } = deployment?.status ?? {}
  const earlier = replicas - updatedReplicas
  if (earlier <= 0) return ''
  return `. ${earlier} consumers of an earlier template hold room until a new one is ready: a lower number of replicas makes room, too`
}
