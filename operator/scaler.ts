/** Lowers and raises the number of consumers: marks the pods that should go, then applies the number under a field manager of its own. */
import { failure } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { byPipeline, type Caches } from './caches.ts'
import { isFailure } from './kubernetes/errors.ts'
import { resourcePath } from './kubernetes/objects.ts'
import { serverSideApply } from './kubernetes/serversideapply.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { DeploymentObject } from './plan/deployment.ts'
import { deploymentType, podType, scalerManager } from './plan/kinds.ts'
import { consumerName } from './plan/names.ts'
import type { Observed, PodObject } from './plan/observed.ts'
import { scale } from './plan/replicas.ts'
import { deletionCostAnnotation, markingsOf } from './plan/victims.ts'
import { createScaleFights } from './scalefights.ts'

interface ScalerParts {
  readonly transport: Transport
  readonly clock: Pick<Clock, 'now'>
  readonly caches: Caches
}

interface Scaler {
  /** The pods that are to be marked before the number is lowered, each with its write. */
  markings(observed: Observed, replicas: number): readonly { readonly pod: PodObject; mark(signal: AbortSignal): Promise<void> }[]
  /** Returns the written Deployment; undefined: no write was needed. Throws KubernetesConflict, and the errors of a fight. */
  scaleTo(observed: Observed, replicas: number, signal: AbortSignal): Promise<DeploymentObject | undefined>
}

export function createScaler({ transport, clock, caches }: ScalerParts): Scaler {
  const fights = createScaleFights(transport, clock)
  return {
    markings(observed, replicas) {
      const { namespace = '', name = '' } = observed.object.metadata
      const current = caches.deployments.get(`${namespace}/${consumerName(name)}`)?.spec?.replicas
      if (current === undefined || current <= replicas) return []
      const pods = caches.pods.indexed(byPipeline, `${namespace}/${name}`)
      return markingsOf({ ...observed, pods }, replicas, current).map(({ pod, cost }) => ({
        pod,
        mark: (signal) => mark(transport, pod, cost, signal),
      }))
    },
    async scaleTo(observed, replicas, signal) {
      const { namespace = '', name = '', uid } = observed.object.metadata
      const current = caches.deployments.get(`${namespace}/${consumerName(name)}`)
      if (current === undefined || current.spec?.replicas === replicas) return undefined
      // The preceding apply confirmed the owner; another writer has removed the reference since then.
      if (current.metadata.ownerReferences?.some((each) => each.uid === uid) !== true)
        throw failure('KubernetesConflict', {
          subject: `Deployment ${consumerName(name)}`,
          detail: 'it lost its reference to this pipeline',
        })
      await fights.check(current, signal)
      const wanted = scale(consumerName(name), namespace, replicas)
      const withUid = { ...wanted, metadata: { ...wanted.metadata, uid: current.metadata.uid ?? '' } }
      const scaled = await serverSideApply(transport, deploymentType, withUid, scalerManager, signal)
      caches.deployments.set(scaled as DeploymentObject)
      fights.wrote(scaled.metadata.uid ?? '', replicas)
      return scaled as DeploymentObject
    },
  }
}

async function mark(transport: Transport, { metadata }: PodObject, cost: string | null, signal: AbortSignal): Promise<void> {
  const path = resourcePath(podType, metadata.namespace, metadata.name)
  const body = { metadata: { uid: metadata.uid, annotations: { [deletionCostAnnotation]: cost } } }
  const query = { fieldManager: scalerManager }
  try {
    await transport.request({ method: 'PATCH', path, query, body, contentType: 'application/merge-patch+json', signal })
  } catch (thrown) {
    // The pod is gone, or another pod has its name.
    if (!isFailure(thrown, 'KubernetesNotFound') && !isFailure(thrown, 'KubernetesConflict')) throw thrown
  }
}
