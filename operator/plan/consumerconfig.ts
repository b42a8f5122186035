/**
 * The consumer's configuration file: the resource itself, less what does not concern moving entries. Mode, suspension, replicas
 * and scaling stay out, so that none of them ever rolls a pod; of `consumer` only what the process itself reads stays in.
 */
import { createHmac } from 'node:crypto'
import type { StreamPipeline } from '../../api/schema/pipeline.ts'
import { canonicalJson } from '../kubernetes/apply.ts'

/** JSON, which is YAML to every version of it, and a hundred times cheaper to write: at a start it is written for each pipeline. */
export function consumerConfig(resource: StreamPipeline): string {
  const { mode: _mode, suspend: _suspend, replicas: _replicas, scaling: _scaling, consumer, ...moving } = resource.spec
  const { name, namespace, uid } = resource.metadata
  const { logLevel, terminationGracePeriodSeconds } = consumer
  const document = {
    apiVersion: resource.apiVersion,
    kind: resource.kind,
    metadata: { name, namespace, uid },
    spec: { ...moving, consumer: { logLevel, terminationGracePeriodSeconds } },
  }
  return `${canonicalJson(document, 2)}\n`
}

/**
 * Stands in the pod template for everything that must roll the pods. Keyed, since a plain hash of a weak password, readable by
 * whoever may read Deployments, could be found by trying.
 */
export function signature(key: Buffer, config: string, referred: readonly (readonly [id: string, value: string])[]): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([config, referred]))
    .digest('hex')
    .slice(0, 40)
}
