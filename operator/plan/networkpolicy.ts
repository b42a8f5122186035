/** The NetworkPolicy of the consumers, where the operator's flags ask for one. */
import type { KubernetesObject } from '../kubernetes/objects.ts'
import { consumerPort } from './deployment.ts'
import { networkPolicyType } from './kinds.ts'
import { selectorLabels } from './names.ts'

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
export function networkPolicy(
  pipeline: string,
  metadata: KubernetesObject['metadata'],
  { ports, to }: RedisPeers,
): KubernetesObject {
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
