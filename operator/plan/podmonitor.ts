/** The PodMonitor of the consumers, where the operator's flags ask for one. */
import type { KubernetesObject } from '../kubernetes/objects.ts'
import { podMonitorType } from './kinds.ts'
import { selectorLabels } from './names.ts'

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

export function podMonitor(
  pipeline: string,
  metadata: KubernetesObject['metadata'],
  form: PodMonitorForm = {},
): KubernetesObject {
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
