/**
 * What the operator watches: pipelines, their children by label, and their pods. One reflector per kind and namespace; with no
 * namespaces given, one per kind for the whole cluster. Every change maps to the key of a pipeline, `namespace/name`.
 */
import type { StreamPipelineError } from '../api/errors.ts'
import { dispatchVariable } from '../redis/dispatchconfig.ts'
import type { Clock } from './kubernetes/clock.ts'
import { type KubernetesObject, keyOf, type ObjectMeta, type ResourceType } from './kubernetes/objects.ts'
import { createReflector, type Reflector } from './kubernetes/reflector.ts'
import { createStore, type MutableStore, type StoreChange } from './kubernetes/store.ts'
import type { Transport } from './kubernetes/transport.ts'
import type { DeploymentObject } from './plan/deployment.ts'
import {
  configMapType,
  deploymentType,
  disruptionBudgetType,
  networkPolicyType,
  pipelineType,
  podMonitorType,
  podType,
  serviceAccountType,
} from './plan/kinds.ts'
import { nameLabel } from './plan/names.ts'
import type { ConfigMapObject, PipelineObject, PodObject } from './plan/observed.ts'

export interface Caches {
  readonly pipelines: MutableStore<PipelineObject>
  readonly deployments: MutableStore<DeploymentObject>
  readonly configMaps: MutableStore<ConfigMapObject>
  readonly pods: MutableStore<PodObject>
  /** By kind; every kind of child, the two above included. */
  readonly children: ReadonlyMap<string, MutableStore<KubernetesObject>>
  readonly synced: boolean
  readonly whenSynced: Promise<unknown>
  run(signal: AbortSignal): Promise<void>
}

interface CachesOptions {
  readonly transport: Transport
  readonly clock: Clock
  /** Empty: all. */
  readonly namespaces: readonly string[]
  readonly podMonitor: boolean
  readonly onPipeline: (key: string, change: StoreChange<PipelineObject>) => void
  readonly onChild: (pipelineKey: string, type: ResourceType, change: StoreChange<KubernetesObject>) => void
  readonly onPod: (pipelineKey: string, change: StoreChange<PodObject>) => void
  readonly onBackoff: (type: ResourceType, error: StreamPipelineError | undefined, attempt: number) => void
  readonly onHandlerFault: (thrown: unknown) => void
}

/** Index of pods and children: the pipeline they belong to. */
export const byPipeline = 'pipeline'

function pipelineKeyOf(object: KubernetesObject): string | undefined {
  const name = object.metadata.labels?.[nameLabel]
  return name === undefined ? undefined : `${object.metadata.namespace ?? ''}/${name}`
}

export function createCaches(options: CachesOptions): Caches {
  const { transport, clock, onHandlerFault } = options
  const reflectors: Reflector[] = []
  const required: Reflector[] = []

  function reflect<T extends KubernetesObject>(type: ResourceType, store: MutableStore<T>, labelSelector?: string): void {
    const namespaces = options.namespaces.length === 0 ? [undefined] : options.namespaces
    for (const namespace of namespaces) {
      const reflector = createReflector<T>(
        {
          transport,
          clock,
          type,
          ...(namespace === undefined ? {} : { namespace }),
          ...(labelSelector === undefined ? {} : { labelSelector }),
          onBackoff: (error, attempt) => options.onBackoff(type, error, attempt),
        },
        namespaced(store, namespace),
      )
      reflectors.push(reflector)
      // PodMonitor's CRD may be installed later: its absence must not keep everything else from starting.
      if (type !== podMonitorType) required.push(reflector)
    }
  }

  function childStore<T extends KubernetesObject>(type: ResourceType, essence: (object: T) => T = bare): MutableStore<T> {
    const tell = (change: StoreChange<T>) => {
      const key = pipelineKeyOf(change.kind === 'Set' ? change.object : change.before)
      if (key !== undefined) options.onChild(key, type, change)
    }
    const store = createStore<T>({ indexes: { [byPipeline]: pipelineKeyOf }, essence, handlers: [tell], onHandlerFault })
    reflect(type, store, nameLabel)
    return store
  }

  const pipelines = createStore<PipelineObject>({
    handlers: [(change) => options.onPipeline(change.key, change)],
    onHandlerFault,
  })
  reflect(pipelineType, pipelines)
  const pods = createStore<PodObject>({
    indexes: { [byPipeline]: pipelineKeyOf },
    handlers: [
      (change) => {
        const key = pipelineKeyOf(change.kind === 'Set' ? change.object : change.before)
        if (key !== undefined) options.onPod(key, change)
      },
    ],
    onHandlerFault,
  })
  reflect(podType, pods, nameLabel)
  const deployments = childStore<DeploymentObject>(deploymentType, withScaleAndStatus)
  const configMaps = childStore<ConfigMapObject>(configMapType, withMode)
  const children = new Map<string, MutableStore<KubernetesObject>>([
    [deploymentType.kind, deployments as MutableStore<KubernetesObject>],
    [configMapType.kind, configMaps as MutableStore<KubernetesObject>],
  ])
  // Policies also where the flag is off: those of an earlier run with it must go.
  const others = [serviceAccountType, disruptionBudgetType, networkPolicyType]
  if (options.podMonitor) others.push(podMonitorType)
  for (const type of others) children.set(type.kind, childStore(type))

  return {
    pipelines,
    deployments,
    configMaps,
    pods,
    children,
    get synced() {
      return required.every((reflector) => reflector.synced)
    },
    whenSynced: Promise.all(required.map((reflector) => reflector.whenSynced)),
    async run(signal) {
      await Promise.all(reflectors.map((reflector) => reflector.run(signal)))
    },
  }
}

/** A reflector of one namespace replaces only that namespace's part of the store. */
function namespaced<T extends KubernetesObject>(store: MutableStore<T>, namespace: string | undefined): MutableStore<T> {
  if (namespace === undefined) return store
  return {
    get: store.get,
    list: store.list,
    indexed: store.indexed,
    get size() {
      return store.size
    },
    set: store.set,
    remove: store.remove,
    replace(listed) {
      const keys = new Set(listed.map(keyOf))
      for (const object of store.list())
        if (object.metadata.namespace === namespace && !keys.has(keyOf(object))) store.discard(keyOf(object))
      for (const object of listed) store.set(object)
    },
    discard: store.discard,
    condense: store.condense,
  }
}

/**
 * Once an object was found as it should be, or made so, only its version tells whether somebody changed it (apply.ts). Its content, most
 * of the operator's memory, is of use no more.
 */
function bare<T extends KubernetesObject>({ apiVersion, kind, metadata }: T): T {
  const { name, namespace, uid, resourceVersion, generation, deletionTimestamp, labels, ownerReferences } = metadata
  const pipeline = labels?.[nameLabel]
  const kept: ObjectMeta = {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(generation === undefined ? {} : { generation }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(pipeline === undefined ? {} : { labels: { [nameLabel]: pipeline } }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
  }
  return { apiVersion, kind, metadata: kept } as T
}

function withScaleAndStatus(object: DeploymentObject): DeploymentObject {
  const { spec, status } = object
  return {
    ...bare(object),
    ...(spec?.replicas === undefined ? {} : { spec: { replicas: spec.replicas } }),
    ...(status === undefined ? {} : { status }),
  }
}

/** What producers are told is read back; it is one line. */
function withMode(object: ConfigMapObject): ConfigMapObject {
  const mode = object.data?.[dispatchVariable]
  return mode === undefined ? bare(object) : { ...bare(object), data: { [dispatchVariable]: mode } }
}
