/**
 * The objects that the operator watches: pipelines, their children by label, and their pods. Every change maps to the key of a pipeline,
 * `namespace/name`. Each kind in each namespace is a view of its own (views.ts).
 */
import type { StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { dispatchVariable } from '../redis/dispatchconfig.ts'
import type { KubernetesObject, ObjectMeta, ResourceType } from './kubernetes/objects.ts'
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
import { childLabels, nameLabel } from './plan/names.ts'
import type { ConfigMapObject, DarkKind, PipelineObject, PodObject } from './plan/observed.ts'
import type { DarkView } from './view.ts'
import { createViews, type Views } from './views.ts'

export interface Caches {
  readonly pipelines: MutableStore<PipelineObject>
  readonly deployments: MutableStore<DeploymentObject>
  readonly configMaps: MutableStore<ConfigMapObject>
  readonly pods: MutableStore<PodObject>
  /** By kind; every kind of child, the two above included. */
  readonly children: ReadonlyMap<string, MutableStore<KubernetesObject>>
  readonly views: Views
  /** Kinds that cannot be watched in that namespace. */
  dark(namespace: string): readonly DarkKind[]
  run(signal: AbortSignal): Promise<void>
}

export interface CachesOptions {
  readonly transport: Transport
  readonly clock: Clock
  /** Empty: all. */
  readonly namespaces: readonly string[]
  readonly podMonitor: boolean
  readonly onPipeline: (key: string, change: StoreChange<PipelineObject>) => void
  readonly onChild: (pipelineKey: string, type: ResourceType, change: StoreChange<KubernetesObject>) => void
  readonly onPod: (pipelineKey: string, change: StoreChange<PodObject>) => void
  readonly onBackoff: (type: ResourceType, error: StreamPipelineError | undefined, attempt: number) => void
  /** A view became dark or lit again. */
  readonly onView: (type: ResourceType, namespace: string | undefined, dark: DarkView | undefined) => void
  /** The API server went back to an earlier state. */
  readonly onRewound: () => void
  readonly onHandlerFailure: (thrown: unknown) => void
}

/** Index of pods and children: the pipeline they belong to. */
export const byPipeline = 'pipeline'

function pipelineKeyOf(object: KubernetesObject): string | undefined {
  const name = object.metadata.labels?.[nameLabel]
  return name === undefined ? undefined : `${object.metadata.namespace ?? ''}/${name}`
}

/** A change of the label concerns two pipelines: the old one and the new one. */
function pipelinesOf(change: StoreChange<KubernetesObject>): ReadonlySet<string> {
  const objects = change.kind === 'Set' ? [change.before, change.object] : [change.before]
  return new Set(objects.map((object) => object && pipelineKeyOf(object)).filter((key) => key !== undefined))
}

export function createCaches(options: CachesOptions): Caches {
  const { transport, clock, namespaces, onBackoff, onView, onRewound, onHandlerFailure } = options
  const views = createViews({ transport, clock, namespaces, onBackoff, onChange: onView, onRewound })

  function childStore<T extends KubernetesObject>(type: ResourceType, trimmedForm: (object: T) => T = bare): MutableStore<T> {
    const notify = (change: StoreChange<T>) => {
      for (const key of pipelinesOf(change)) options.onChild(key, type, change)
    }
    const store = createStore<T>({ indexes: { [byPipeline]: pipelineKeyOf }, trimmedForm, handlers: [notify], onHandlerFailure })
    views.add(type, store, nameLabel)
    return store
  }

  const pipelines = createStore<PipelineObject>({
    handlers: [(change) => options.onPipeline(change.key, change)],
    onHandlerFailure,
  })
  views.add(pipelineType, pipelines)
  const pods = createStore<PodObject>({
    indexes: { [byPipeline]: pipelineKeyOf },
    handlers: [
      (change) => {
        for (const key of pipelinesOf(change)) options.onPod(key, change)
      },
    ],
    onHandlerFailure,
  })
  views.add(podType, pods, nameLabel)
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
    views,
    dark: views.darkIn,
    run: views.run,
  }
}

/**
 * Keeps the identity and our own metadata of an object that is as it should be. They suffice to notice another writer's change
 * (lastapplies.ts). The content would take most of the operator's memory.
 */
function bare<T extends KubernetesObject>({ apiVersion, kind, metadata }: T): T {
  const { name, namespace, uid, resourceVersion, generation, deletionTimestamp, labels, ownerReferences, annotations } = metadata
  const kept: ObjectMeta = {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(generation === undefined ? {} : { generation }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(labels === undefined ? {} : { labels: shared(labels) }),
    ...(annotations === undefined ? {} : { annotations: withoutCopies(annotations) }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
  }
  return { apiVersion, kind, metadata: kept } as T
}

/** kubectl keeps a copy of the whole object in an annotation. */
function withoutCopies(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { 'kubectl.kubernetes.io/last-applied-configuration': _copy, ...kept } = annotations
  return kept
}

/** The same labels, in strings that all objects share. */
function shared(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const ours = childLabels(labels[nameLabel] ?? '')
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, ours[name] === value ? ours[name] : value]))
}

function withScaleAndStatus(object: DeploymentObject): DeploymentObject {
  const { spec, status } = object
  return {
    ...bare(object),
    ...(spec?.replicas === undefined
      ? {}
      : { spec: { replicas: spec.replicas, ...(spec.paused === true ? { paused: true } : {}) } }),
    ...(status === undefined ? {} : { status }),
  }
}

/** Of the data only the producers' mode is kept, one line, since the operator reads it back. */
function withMode(object: ConfigMapObject): ConfigMapObject {
  const mode = object.data?.[dispatchVariable]
  return mode === undefined ? bare(object) : { ...bare(object), data: { [dispatchVariable]: mode } }
}
