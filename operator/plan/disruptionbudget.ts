/** The PodDisruptionBudget of the consumers. */
import type { KubernetesObject } from '../kubernetes/objects.ts'
import { disruptionBudgetType } from './kinds.ts'
import { selectorLabels } from './names.ts'

/** AlwaysAllow: consumers that are not ready, as in a Redis outage, must not block a node's drain. */
export function disruptionBudget(pipeline: string, metadata: KubernetesObject['metadata']): KubernetesObject {
  return {
    apiVersion: disruptionBudgetType.apiVersion,
    kind: disruptionBudgetType.kind,
    metadata,
    spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: { matchLabels: selectorLabels(pipeline) } },
  } as KubernetesObject
}
