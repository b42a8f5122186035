/**
 * The consumer's configuration file: the resource itself, less what does not concern moving entries. Mode, suspension, replicas and
 * scaling stay out, so that none of them ever rolls a pod. Of `consumer` only the fields that the process reads stay in.
 */
import { createHmac } from 'node:crypto'
import type { StreamPipeline } from '../../api/schema/pipeline.ts'
import { canonicalJson } from '../kubernetes/apply.ts'

type Fields = Readonly<Record<string, unknown>>

/**
 * Fields whose default, false, is not written. Consumers of an earlier release, which `spec.consumer.image` may name, refuse a field that
 * they do not know, and any change of the file restarts them. A field that a later release adds with the default false belongs
 * here.
 */
export const laterDefaults: readonly (readonly [part: string, field: string])[] = [
  ['deadLetter', 'requestCopy'],
  ['payload', 'allowEmptyKey'],
]

function withoutLaterDefaults(spec: Fields): Fields {
  return Object.fromEntries(
    Object.entries(spec).map(([part, fields]) => {
      const isLater = ([field, value]: [string, unknown]) =>
        value === false && laterDefaults.some((each) => each[0] === part && each[1] === field)
      const isMap = typeof fields === 'object' && fields !== null && !Array.isArray(fields)
      return [part, isMap ? Object.fromEntries(Object.entries(fields).filter((entry) => !isLater(entry))) : fields]
    }),
  )
}

/**
 * Written as JSON, which consumers of every version read as YAML. JSON is a hundred times cheaper to write, and at a start the
 * operator writes it for each pipeline.
 */
export function consumerConfig(resource: StreamPipeline): string {
  const { mode: _mode, suspend: _suspend, replicas: _replicas, scaling: _scaling, consumer, ...moving } = resource.spec
  const { name, namespace, uid } = resource.metadata
  const { logLevel, terminationGracePeriodSeconds } = consumer
  const document = {
    apiVersion: resource.apiVersion,
    kind: resource.kind,
    metadata: { name, namespace, uid },
    spec: { ...withoutLaterDefaults(moving), consumer: { logLevel, terminationGracePeriodSeconds } },
  }
  return `${canonicalJson(document, 2)}\n`
}

/**
 * Stands in the pod template for everything that must roll the pods. Keyed: a reader of Deployments could find a weak password
 * from its plain hash by trying.
 */
export function signature(key: Buffer, config: string, referred: readonly (readonly [id: string, value: string])[]): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([config, referred]))
    .digest('hex')
    .slice(0, 40)
}
