/**
 * Detects other writers that scale the consumers' Deployment. A number set by hand is corrected once or twice. An autoscaler that sets
 * its number again and again is reported by name. The Deployment then keeps that number until the autoscaler gives way (contests.ts).
 */
import { failure } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { createContests, writerOf } from './kubernetes/contests.ts'
import { isFailure } from './kubernetes/errors.ts'
import { type KubernetesObject, resourcePath } from './kubernetes/objects.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { DeploymentObject } from './plan/deployment.ts'
import { deploymentType, mainManager, scalerManager } from './plan/kinds.ts'

interface ScaleFights {
  /** Call before each write of another number. Throws ReplicasContended if the write would repeat a fight. */
  check(current: DeploymentObject, signal: AbortSignal): Promise<void>
  wrote(uid: string, replicas: number): void
}

/** Most Deployments with a known number. Deleted ones leave theirs; the oldest are dropped. */
const mostKnown = 20_000
const autoscalers = 'kube-controller-manager through scale'

export function createScaleFights(transport: Transport, clock: Pick<Clock, 'now'>): ScaleFights {
  const contests = createContests()
  /** The last number by uid of the Deployment, from us or another writer. */
  const known = new Map<string, number>()

  function remember(uid: string, replicas: number): void {
    known.delete(uid)
    known.set(uid, replicas)
    const [oldest] = known.keys()
    if (known.size <= mostKnown || oldest === undefined) return
    known.delete(oldest)
    contests.drop(oldest)
  }

  async function writer({ metadata }: DeploymentObject, signal: AbortSignal): Promise<string> {
    try {
      const path = resourcePath(deploymentType, metadata.namespace, metadata.name)
      const live = (await transport.request({ method: 'GET', path, signal })) as KubernetesObject
      return writerOf(live, ['f:spec', 'f:replicas'], [mainManager, scalerManager])
    } catch (thrown) {
      if (isFailure(thrown, 'KubernetesNotFound')) return 'another writer'
      throw thrown
    }
  }

  return {
    async check(current, signal) {
      const { uid = '', name = '' } = current.metadata
      const now = current.spec?.replicas ?? 1
      const last = known.get(uid)
      if (last !== undefined && last !== now) contests.undone(uid, await writer(current, signal), clock.now())
      remember(uid, now)
      const who = contests.standing(uid, clock.now())
      if (who === undefined) return
      const isAutoscaler = who === autoscalers
      const advice = isAutoscaler
        ? `delete the HorizontalPodAutoscaler or the ScaledObject of KEDA that targets Deployment ${name}; or have it target the StreamPipeline, with scaling.policy: Manual`
        : 'have that writer leave the number alone: replicas are set by scaling, or with kubectl scale streampipeline under scaling.policy: Manual'
      const named = isAutoscaler ? `a HorizontalPodAutoscaler (${who})` : who
      throw failure('ReplicasContended', { kind: deploymentType.kind, name, writer: named, advice })
    },
    wrote: remember,
  }
}
