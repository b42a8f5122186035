/**
 * Whose pod is no more. A consumer is suspected when the registry says it is a pod of this pipeline and that pod is not among
 * those that may still run a process: names registered by anybody else are never looked at. The cache of pods may lag behind
 * a pod that has just begun, so each suspicion is confirmed by asking (confirmation.ts).
 */
import { parseIdentity } from '../../redis/stream/identity.ts'
import type { ConsumerSample, Sample } from '../../scaling/sample.ts'
import type { PodObject } from '../plan/observed.ts'

/**
 * Whether the pod of that name and uid is certain to be gone.
 * @param sinceMs when it was suspected first, by the operator's clock: it was registered before
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
