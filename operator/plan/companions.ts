/** What stands beside the Deployment: identity, disruption budget, and, where the operator's flags ask for it, policy and scrape. */
import type { KubernetesObject } from '../kubernetes/objects.ts'
import { consumerPort } from './deployment.ts'
import { disruptionBudgetType, networkPolicyType, podMonitorType, serviceAccountType } from './kinds.ts'
import { selectorLabels } from './names.ts'

type Metadata = KubernetesObject['metadata']

export function serviceAccount(metadata: Metadata): KubernetesObject {
  return {
    apiVersion: serviceAccountType.apiVersion,
    kind: serviceAccountType.kind,
    metadata,
    automountServiceAccountToken: false,
  } as KubernetesObject
}

/** AlwaysAllow: consumers that are not ready, as in a Redis outage, must not block a node's drain. */
export function disruptionBudget(pipeline: string, metadata: Metadata): KubernetesObject {
  return {
    apiVersion: disruptionBudgetType.apiVersion,
    kind: disruptionBudgetType.kind,
    metadata,
    spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: { matchLabels: selectorLabels(pipeline) } },
  } as KubernetesObject
}

/** 5353: where OpenShift's DNS pods listen; policies see ports behind the Service. */
const dnsPorts = [53, 5353].flatMap((port) => ['UDP', 'TCP'].map((protocol) => ({ port, protocol })))

/** The peers to which a NetworkPolicy lets consumers connect; undefined fields are not known. */
export interface RedisPeers {
  /** Unknown for Sentinels and a Redis Cluster: their servers announce their own ports. */
  readonly ports: readonly number[] | undefined
  /** A Service does not show where its pods are: only an administrator knows where Redis is. */
  readonly to: readonly object[] | undefined
}

/** Allows probes and scrapes in, and DNS and Redis out. Egress stays open if neither the ports nor the peers of Redis are known. */
export function networkPolicy(pipeline: string, metadata: Metadata, { ports, to }: RedisPeers): KubernetesObject {
  const toRedis = {
    ...(ports === undefined ? {} : { ports: ports.map((port) => ({ port, protocol: 'TCP' })) }),
    ...(to === undefined ? {} : { to }),
  }
  // A rule without peers would allow all of them.
  const rules = to?.length === 0 ? [] : [toRedis]
  const egress = Object.keys(toRedis).length === 0 ? undefined : [{ ports: dnsPorts }, ...rules]
  return {
    apiVersion: networkPolicyType.apiVersion,
    kind: networkPolicyType.kind,
    metadata,
    spec: {
      podSelector: { matchLabels: selectorLabels(pipeline) },
      policyTypes: egress === undefined ? ['Ingress'] : ['Ingress', 'Egress'],
      ingress: [{ ports: [{ port: consumerPort, protocol: 'TCP' }] }],
      ...(egress === undefined ? {} : { egress }),
    },
  } as KubernetesObject
}

/** Fields of every PodMonitor, as the administrator's Prometheus wants them. */
export interface PodMonitorForm {
  /** By these labels a Prometheus selects its monitors. */
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly interval?: string
  readonly scrapeTimeout?: string
  readonly relabelings?: readonly object[]
  readonly metricRelabelings?: readonly object[]
}

export function podMonitor(pipeline: string, metadata: Metadata, form: PodMonitorForm = {}): KubernetesObject {
  const { labels, annotations, ...endpoint } = form
  const merged = { ...metadata.annotations, ...annotations }
  return {
    apiVersion: podMonitorType.apiVersion,
    kind: podMonitorType.kind,
    metadata: {
      ...metadata,
      labels: { ...labels, ...metadata.labels },
      ...(Object.keys(merged).length === 0 ? {} : { annotations: merged }),
    },
    spec: { selector: { matchLabels: selectorLabels(pipeline) }, podMetricsEndpoints: [{ port: 'http', ...endpoint }] },
  } as KubernetesObject
}
