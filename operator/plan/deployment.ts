/** The consumers' Deployment, without its number of replicas: those have a field manager of their own (replicas.ts). */
import type { Reference } from '../../api/compiled.ts'
import type { KubernetesObject } from '../kubernetes/objects.ts'
import type { DefaultedConsumer } from './consumerdefaults.ts'
import { deploymentType } from './kinds.ts'
import { childLabels, configAnnotation, consumerName, selectorLabels } from './names.ts'

const configFolder = '/etc/streampipeline'
const referencesFolder = '/var/run/streampipeline/refs'
export const consumerPort = 9090

interface DeploymentInput {
  readonly name: string
  /** With the operator's defaults in it. */
  readonly consumer: DefaultedConsumer
  /** Used where `consumer.image` is empty. */
  readonly defaultImage: string
  readonly references: readonly Reference[]
  readonly signature: string
}

type Json = Record<string, unknown>

export interface DeploymentObject extends KubernetesObject {
  readonly spec?: {
    readonly replicas?: number
    readonly paused?: boolean
    readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } }
  }
  readonly status?: {
    readonly observedGeneration?: number
    readonly replicas?: number
    readonly readyReplicas?: number
    readonly updatedReplicas?: number
    readonly availableReplicas?: number
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly reason?: string
      readonly message?: string
      readonly lastUpdateTime?: string
    }[]
  }
}

/** An empty list or map is left out: to apply it would claim the field. */
function given(fields: Json): Json {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => {
      if (value === undefined || value === '') return false
      return typeof value !== 'object' || value === null || Object.keys(value).length > 0
    }),
  )
}

function deploymentSpec(input: DeploymentInput): Json {
  const { name, consumer } = input
  return {
    revisionHistoryLimit: 3,
    selector: { matchLabels: selectorLabels(name) },
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
    template: {
      metadata: {
        labels: { ...consumer.labels, ...childLabels(name) },
        annotations: { ...consumer.annotations, [configAnnotation]: input.signature },
      },
      spec: podSpec(input),
    },
  }
}

/**
 * The restricted defaults, each of which a field of the user replaces. So a user who sets only `fsGroup` keeps `runAsNonRoot`. A
 * pipeline that only names user 0 has run as root so far, and still does.
 */
function podSecurity(given: Json = {}): Json {
  const root = given['runAsUser'] === 0
  return { ...(root ? {} : { runAsNonRoot: true }), seccompProfile: { type: 'RuntimeDefault' }, ...given }
}

function podSpec({ name, consumer, defaultImage, references }: DeploymentInput): Json {
  return {
    ...given({
      imagePullSecrets: consumer.imagePullSecrets,
      nodeSelector: consumer.nodeSelector,
      tolerations: consumer.tolerations,
      affinity: consumer.affinity,
      priorityClassName: consumer.priorityClassName,
    }),
    serviceAccountName: consumer.serviceAccountName || consumerName(name),
    // Also where the ServiceAccount is the user's own and would mount one: consumers never talk to the API server.
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: consumer.terminationGracePeriodSeconds,
    securityContext: podSecurity(consumer.securityContext),
    topologySpreadConstraints:
      consumer.topologySpreadConstraints.length > 0 ? consumer.topologySpreadConstraints : [spreadOverNodes(name)],
    containers: [container(consumer, defaultImage)],
    volumes: [
      { name: 'config', configMap: { name: consumerName(name) } },
      ...(references.length === 0 ? [] : [{ name: 'references', projected: { sources: sourcesOf(references) } }]),
      ...consumer.volumes,
    ],
  }

  function container(spec: DefaultedConsumer, image: string): Json {
    return {
      name: 'consumer',
      image: spec.image || image,
      imagePullPolicy: spec.imagePullPolicy,
      args: ['consume', '--config', `${configFolder}/pipeline.yaml`, '--refs', referencesFolder],
      env: [
        { name: 'POD_NAME', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } },
        { name: 'POD_UID', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.uid' } } },
        ...spec.env,
      ],
      ...given({ envFrom: spec.envFrom, resources: spec.resources }),
      ports: [{ name: 'http', containerPort: consumerPort, protocol: 'TCP' }],
      startupProbe: { httpGet: { path: '/livez', port: 'http' }, periodSeconds: 1, failureThreshold: 60 },
      livenessProbe: { httpGet: { path: '/livez', port: 'http' }, periodSeconds: 10, failureThreshold: 3 },
      readinessProbe: { httpGet: { path: '/readyz', port: 'http' }, periodSeconds: 2, failureThreshold: 3 },
      securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      // Without this a crash would show as an exit code alone.
      terminationMessagePolicy: 'FallbackToLogsOnError',
      volumeMounts: [
        { name: 'config', mountPath: configFolder, readOnly: true },
        ...(references.length === 0 ? [] : [{ name: 'references', mountPath: referencesFolder, readOnly: true }]),
        ...spec.volumeMounts,
      ],
    }
  }
}

function spreadOverNodes(name: string): Json {
  return {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: selectorLabels(name) },
  }
}

/** One projected volume: `secret/NAME/KEY` and `configmap/NAME/KEY`, as `consume --refs` reads them. */
function sourcesOf(references: readonly Reference[]): Json[] {
  const groups = new Map<string, { kind: Reference['kind']; name: string; keys: string[] }>()
  for (const { kind, name, key } of references) {
    const group = groups.get(`${kind}/${name}`) ?? { kind, name, keys: [] }
    group.keys.push(key)
    groups.set(`${kind}/${name}`, group)
  }
  return [...groups.values()].map(({ kind, name, keys }) => {
    const folder = kind === 'Secret' ? 'secret' : 'configmap'
    const items = keys.map((key) => ({ key, path: `${folder}/${name}/${key}` }))
    return kind === 'Secret' ? { secret: { name, items } } : { configMap: { name, items } }
  })
}

export function deployment(input: DeploymentInput, metadata: KubernetesObject['metadata']): DeploymentObject {
  return {
    apiVersion: deploymentType.apiVersion,
    kind: deploymentType.kind,
    metadata,
    spec: deploymentSpec(input),
  } as DeploymentObject
}
