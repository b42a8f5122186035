/** The cause that keeps a pod from running, in the words of a condition. */
import type { ConditionReason } from '../reasons.ts'

export interface PodProblem {
  readonly reason: Extract<
    ConditionReason,
    | 'ImagePullFailed'
    | 'ConsumersCrashing'
    | 'ContainerNotCreated'
    | 'ContainersInitializing'
    | 'VolumeNotMounted'
    | 'SandboxNotCreated'
    | 'ConsumersNotReady'
    | 'ConsumersStuck'
    | 'NodeLost'
    | 'Unschedulable'
    | 'PodsEnded'
  >
  readonly pod: string
  readonly detail: string
  readonly remedy: string
}

/** A finding about a pod, without the pod's name. */
export type Finding = Omit<PodProblem, 'pod'>
