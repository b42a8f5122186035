/**
 * What vanished pods leave behind. A consumer is vanished when the registry says it is a pod of this pipeline and that pod is no
 * more; names registered by anybody else are never touched. Its entries become claimable at once and its name goes with the
 * last of them. The cache of pods may lag, so each suspicion is confirmed by asking for the pod itself.
 */
import type { CompiledPipeline } from '../../api/compiled.ts'
import type { RedisConnection } from '../../redis/connection.ts'
import { streamPlace } from '../../redis/placement.ts'
import { parseIdentity } from '../../redis/stream/identity.ts'
import { type Reaping, reapConsumer } from '../../redis/stream/reaping.ts'
import type { ConsumerSample, Sample } from '../../scaling/sample.ts'
import type { Clock } from '../kubernetes/clock.ts'
import { isFailure } from '../kubernetes/errors.ts'
import { type KubernetesObject, resourcePath } from '../kubernetes/objects.ts'
import type { Transport } from '../kubernetes/transport.ts'
import { podType } from '../plan/kinds.ts'
import type { PodObject } from '../plan/observed.ts'

/** Whether the pod of that name and uid is certain to be gone. */
export type ConfirmGone = (namespace: string, name: string, uid: string) => Promise<boolean>

export interface Reaped {
  readonly consumer: string
  readonly reaping: Reaping
}

/** Uids of pods in which a process may still run. */
export function livingPods(pods: readonly PodObject[]): ReadonlySet<string> {
  const living = pods.filter(({ status }) => status?.phase !== 'Failed' && status?.phase !== 'Succeeded')
  return new Set(living.map(({ metadata }) => metadata.uid ?? ''))
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

export async function reapVanished(
  connection: RedisConnection,
  pipeline: CompiledPipeline,
  found: readonly Suspect[],
  confirmGone: ConfirmGone,
): Promise<readonly Reaped[]> {
  const reaped: Reaped[] = []
  for (const { consumer, uid, podUid } of found) {
    if (!(await confirmGone(pipeline.namespace, consumer.name, podUid))) continue
    const reaping = await reapConsumer(connection, streamPlace(pipeline), {
      name: consumer.name,
      uid,
      minIdleMs: pipeline.reclaim.minIdleMs,
      // On the atomic path the pending list itself is the lock, so a zombie can do no harm; elsewhere it must have fallen silent.
      requireExpiredHeartbeat: consumer.heartbeat?.path !== 'Atomic',
    })
    reaped.push({ consumer: consumer.name, reaping })
  }
  return reaped
}

/** Remembers pods that are gone: they do not come back. */
export function confirmByAsking(transport: Transport, clock: Clock): ConfirmGone {
  const gone = new Map<string, number>()
  return async (namespace, name, uid) => {
    if (gone.has(uid)) return true
    try {
      const pod = (await transport.request({ method: 'GET', path: resourcePath(podType, namespace, name) })) as KubernetesObject &
        PodObject
      const ended = pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'
      if (pod.metadata.uid === uid && !ended) return false
    } catch (thrown) {
      if (!isFailure(thrown, 'KubernetesNotFound')) throw thrown
    }
    gone.set(uid, clock.now())
    for (const [old, atMs] of gone) if (clock.now() - atMs > 3_600_000) gone.delete(old)
    return true
  }
}
