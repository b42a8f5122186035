/**
 * The consumer's configuration file: the resource itself, less what does not concern moving entries. Mode, suspension, replicas
 * and scaling stay out, so that none of them ever rolls a pod; of `consumer` only what the process itself reads stays in.
 */
import { createHmac } from 'node:crypto'
import { stringify } from 'yaml'
import type { StreamPipeline } from '../../api/schema/pipeline.ts'

/** YAML 1.1, as kubectl and the consumer read it: strings such as `y` or `no` are quoted. */
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
  return stringify(document, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false, sortMapEntries: true })
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
