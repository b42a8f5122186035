/** A fault in the status of a pod or a Deployment, and its expected report. */
import type { DeploymentObject } from '../../../operator/plan/deployment.ts'
import type { PodEvent, PodObject } from '../../../operator/plan/observed.ts'

export interface StatusFault {
  readonly name: string
  readonly reason: string
  readonly reported: readonly RegExp[]
  readonly pod?: PodObject
  readonly events?: readonly PodEvent[]
  readonly deployment?: Pick<DeploymentObject, 'status' | 'spec'>
}

/** That text, as it is. */
export const plain = (text: string) => new RegExp(text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
