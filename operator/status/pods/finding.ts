/** What keeps a pod from running, in the words of a condition. */
import type { ConditionReason } from '../reasons.ts'

export interface Trouble {
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

/** Of a pod: what it has in common with others is left out. */
export type Finding = Omit<Trouble, 'pod'>
