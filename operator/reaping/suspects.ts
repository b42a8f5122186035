/**
 * Finds consumers whose pod is gone. A consumer is suspected if the registry names a pod of this pipeline that is not among those that
 * may still run a process. Names registered by other programs are left alone. The cache of pods may lag behind a new pod, so each
 * suspicion is confirmed (confirmation.ts).
 */
import { parseIdentity } from '../../redis/stream/identity.ts'
import type { ConsumerSample, Sample } from '../../scaling/sample.ts'
import type { PodObject } from '../plan/observed.ts'

/**
 * Whether the pod of that name and uid is certainly gone.
 * @param sinceMs time of the first suspicion by the operator's clock; the pod was registered before
 */
export type ConfirmGone = (namespace: string, name: string, uid: string, sinceMs: number) => Promise<boolean>

/** Uids of pods in which a process may still run: one that is being deleted runs until it is gone. */
export function livingPods(pods: readonly PodObject[]): ReadonlySet<string> {
  return new Set(pods.filter((pod) => !hasEnded(pod)).map(({ metadata }) => metadata.uid ?? ''))
}

/** All its containers have ended for good. */
export function hasEnded({ status }: PodObject): boolean {
  return status?.phase === 'Failed' || status?.phase === 'Succeeded'
}

export interface Suspect {
  readonly consumer: ConsumerSample
  /** As registered. */
  readonly uid: string
  readonly podUid: string
}

export function suspects(sample: Sample, pipelineUid: string, living: ReadonlySet<string>): readonly Suspect[] {
  return sample.consumers.flatMap((consumer) => {
    const { uid } = consumer
    const identity = uid === undefined ? undefined : parseIdentity(uid)
    if (uid === undefined || identity === undefined || identity.owner !== pipelineUid || living.has(identity.life)) return []
    return [{ consumer, uid, podUid: identity.life }]
  })
}
