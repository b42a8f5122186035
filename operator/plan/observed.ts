/** The state that a reconcile gathers before it decides: all input of `plan`. */
import type { CompiledPipeline, Reference } from '../../api/compiled.ts'
import type { StreamPipelineError } from '../../api/errors.ts'
import type { StreamPipeline } from '../../api/schema/pipeline.ts'
import type { StreamPipelineStatus } from '../../api/status.ts'
import type { Decision } from '../../scaling/decide.ts'
import type { Sample } from '../../scaling/sample.ts'
import type { KubernetesObject } from '../kubernetes/objects.ts'
import type { Limits } from '../limits.ts'
import type { ConsumerDefaults } from './consumerdefaults.ts'
import type { DeploymentObject } from './deployment.ts'
import type { PodMonitorForm } from './podmonitor.ts'
import type { VanishedConsumer } from './vanished.ts'

/** The resource as the API server holds it. */
export interface PipelineObject extends KubernetesObject {
  readonly spec?: unknown
  readonly status?: StreamPipelineStatus
}

export interface ConfigMapObject extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>
}

export interface ContainerState {
  readonly waiting?: { readonly reason?: string; readonly message?: string }
  readonly running?: { readonly startedAt?: string }
  readonly terminated?: {
    readonly exitCode?: number
    readonly signal?: number
    readonly reason?: string
    readonly message?: string
    readonly finishedAt?: string
  }
}

export interface ContainerStatus {
  readonly name?: string
  readonly image?: string
  readonly ready?: boolean
  readonly started?: boolean
  readonly restartCount?: number
  readonly state?: ContainerState
  readonly lastState?: ContainerState
}

export interface PodObject extends KubernetesObject {
  readonly spec?: {
    readonly nodeName?: string
    readonly schedulerName?: string
    readonly readinessGates?: readonly unknown[]
    readonly imagePullSecrets?: readonly { readonly name?: string }[]
    readonly initContainers?: readonly { readonly name?: string; readonly restartPolicy?: string }[]
  }
  readonly status?: {
    readonly phase?: string
    readonly reason?: string
    readonly message?: string
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly reason?: string
      readonly message?: string
      readonly lastTransitionTime?: string
    }[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
    readonly containerStatuses?: readonly ContainerStatus[]
  }
}

/** An Event about a pod: the only place where the kubelet reports some causes. */
export interface PodEvent {
  readonly reason: string
  readonly message: string
  readonly atMs: number
}

/** Events of one pod, or why they cannot be read. */
export type PodEvents =
  | { readonly kind: 'Read'; readonly events: readonly PodEvent[] }
  | { readonly kind: 'Unread'; readonly error: StreamPipelineError }

/** The spec, read: the API server takes what an older schema allowed, so it may still be unsound. */
export type ReadSpec =
  | { readonly kind: 'Sound'; readonly resource: StreamPipeline; readonly pipeline: CompiledPipeline }
  | { readonly kind: 'Unsound'; readonly error: StreamPipelineError }

export type ReferenceState =
  | {
      readonly kind: 'Found'
      readonly reference: Reference
      readonly value: string
      /** The failure of reads for some time: the value may have changed since. */
      readonly doubt?: StreamPipelineError
    }
  | { readonly kind: 'Absent'; readonly reference: Reference; readonly error: StreamPipelineError }
  /** The read failed, so the object may exist or not. */
  | { readonly kind: 'Unknown'; readonly reference: Reference; readonly error: StreamPipelineError }

/** A kind of object that cannot be watched where the pipeline is. */
export interface DarkKind {
  readonly kind: string
  /** False: the kind was never listed, so none of its objects is known. */
  readonly known: boolean
  /** For messages: `poddisruptionbudgets in farm`. */
  readonly subject: string
  readonly error: StreamPipelineError
}

/** The decision, without the state for the next decision, which stays with the scaler. */
type ShownDecision = Omit<Decision, 'state'>

/** The last look at the pipeline's Redis. */
export type Observation =
  | { readonly kind: 'None' }
  | {
      readonly kind: 'Seen'
      /** Generation of the spec that named this Redis. */
      readonly generation: number
      /** Wall-clock milliseconds at which the look began; undefined: just now. */
      readonly atMs?: number
      readonly sample: Sample
      /** Consumers whose pods are gone, and whose names are not yet. */
      readonly vanished: readonly VanishedConsumer[]
      readonly decision: ShownDecision
      /** Entries that come each second, as the decision reckons. Absent in looks of earlier releases. */
      readonly arrivalsPerSecond?: number
      /** Wall-clock milliseconds since when stream and pending list have been empty and nothing was added; undefined: not so. */
      readonly quietSinceMs?: number
      /** Reads work, but entries could not be settled: Redis refuses writes, or what the keys hold does not fit. */
      readonly refusal?: StreamPipelineError
      /** Why an entry does not wake it at once, but at the next look. */
      readonly wakesLate?: StreamPipelineError
    }
  | {
      readonly kind: 'Failed'
      /** Generation of the spec that named this Redis. */
      readonly generation: number
      /** Wall-clock milliseconds at which the look failed; undefined: it stands until the next one. */
      readonly atMs?: number
      readonly error: StreamPipelineError
      readonly decision: ShownDecision
      /** The last one that worked, of the same stream. */
      readonly sample?: Sample
      /** Wall-clock milliseconds at which the look of that sample began. */
      readonly sampleAtMs?: number
    }

/** One operation on a child that failed. */
export interface FailedWrite {
  /** `Deployment ndvi-consumer` */
  readonly subject: string
  readonly error: StreamPipelineError
}

export interface OperatorSettings {
  readonly consumerImage: string
  readonly networkPolicy: boolean
  /** Networks of Redis, for egress of these policies; undefined: not known. */
  readonly networkPolicyRedis?: readonly string[] | undefined
  /** Ports of Redis' pods, for egress of these policies: a Service may have another port than its pods. Default: none. */
  readonly networkPolicyPorts?: readonly number[]
  readonly podMonitor: boolean
  /** Labels, intervals and so on of PodMonitors; default: none. */
  readonly podMonitorForm?: PodMonitorForm
  /** Defaults for `spec.consumer`; undefined: none. */
  readonly consumerDefaults?: ConsumerDefaults
  /** Limits that an administrator sets on pipelines. */
  readonly limits: Limits
  /** Status gives one text for every address that is no Redis. */
  readonly manyTeams: boolean
  /** Referred Secrets are read by name, not watched (that would take the right to list them all): this is how stale they get. */
  readonly referencesEveryMs: number
  /** How often Redis is looked at. A status rests on a look of that time, or of the last five seconds. */
  readonly observeEveryMs: number
  /** A status in which only numbers changed is written at most this often. */
  readonly numbersEveryMs: number
  /** How long a stream in mode Direct must stay settled: mounted ConfigMaps reach producers within about a minute and a half. */
  readonly quietMs: number
  /** The pause before a failure that only a person or time can mend is tried again: no event would show the change. */
  readonly retryEveryMs: number
  /** Keys the HMAC in the pod template. */
  readonly signingKey: Buffer
}

/** The last write of the Deployment's template. */
export interface WrittenTemplate {
  /** `metadata.generation` of the Deployment after it. */
  readonly generation: number
  /** The `lastUpdateTime` of `NewReplicaSetAvailable` at that write: the condition was of an earlier template. */
  readonly standingSince?: string
}

export interface Observed {
  readonly object: PipelineObject
  readonly spec: ReadSpec
  readonly settings: OperatorSettings
  readonly deployment: DeploymentObject | undefined
  /** The last write of the Deployment's template; undefined: not known. */
  readonly template?: WrittenTemplate | undefined
  readonly dispatch: ConfigMapObject | undefined
  /** Children found by label, of every kind the operator may have made. */
  readonly children: readonly KubernetesObject[]
  readonly pods: readonly PodObject[]
  /** Events by uid, of pods whose status names no cause. */
  readonly podEvents?: ReadonlyMap<string, PodEvents>
  readonly references: readonly ReferenceState[]
  readonly observation: Observation
  /** The served CustomResourceDefinition lacks what this operator needs; undefined: it fits, or is not known yet. */
  readonly schemaFailure?: StreamPipelineError
  /** Kinds that cannot be watched in the pipeline's namespace; default: none. */
  readonly dark?: readonly DarkKind[]
  /** Of this reconcile's writes; empty before they were tried. */
  readonly failures: readonly FailedWrite[]
  /** Wall-clock milliseconds at which this process first read this spec; undefined: now. */
  readonly specSinceMs?: number
  /** Wall-clock milliseconds of our last status write; undefined: none by this process. */
  readonly statusWrittenMs?: number
}
