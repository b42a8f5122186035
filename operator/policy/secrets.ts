/**
 * The Secrets that a pipeline may name. The operator can read Secrets that the pipeline's author cannot. It sends their contents to a
 * server of the author's choice, and pods mount others. With `--secret-label` pipelines may name only Secrets that carry the label. So
 * the right to label a Secret decides.
 */
import type { Reference } from '../../api/compiled.ts'
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { ConsumerSpec } from '../../api/schema/pipeline.ts'
import { isRecord } from '../../api/validation/problem.ts'
import type { KubernetesObject } from '../kubernetes/objects.ts'
import type { Limits, SecretLabel } from '../limits.ts'
import { signingSecretName } from '../plan/names.ts'

type Named = Pick<Reference, 'kind' | 'name' | 'key' | 'field'>

/** Undefined: the pipeline may use it. */
export function secretRefusal(
  namespace: string,
  { kind, name, key, field }: Named,
  secret: KubernetesObject,
  { secretLabel, operatorNamespace }: Limits,
): StreamPipelineError | undefined {
  const refused = (detail: string, advice: string) => failure('ReferenceRefused', { kind, name, key, field, detail, advice })
  if (namespace === operatorNamespace && name === signingSecretName)
    return refused("it is the operator's own", `name another Secret in ${field}`)
  if (secretLabel === undefined || carries(secret, secretLabel)) return undefined
  const { key: label, value } = secretLabel
  const assignment = `${label}=${value ?? 'true'}`
  return refused(
    `it does not carry the label ${value === undefined ? label : assignment}`,
    `if pipelines may use this Secret, label it: kubectl label secret ${name} -n ${namespace} ${assignment}`,
  )
}

function carries({ metadata }: KubernetesObject, { key, value }: SecretLabel): boolean {
  const labels = metadata.labels ?? {}
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value)
}

/** A Secret that the consumer's pods get, listed once for each name. */
export interface PodSecret {
  readonly name: string
  readonly field: string
}

/** The Secrets that a pod's spec gives to the pod: in variables, in volumes of any type, and to pull its image. */
export function podSecrets(consumer: ConsumerSpec): readonly PodSecret[] {
  const found = new Map<string, PodSecret>()
  const add = (name: unknown, field: string) => {
    if (typeof name === 'string' && name !== '' && !found.has(name)) found.set(name, { name, field })
  }
  for (const [index, { name }] of consumer.imagePullSecrets.entries()) add(name, `spec.consumer.imagePullSecrets[${index}]`)
  for (const [index, entry] of consumer.env.entries()) walk(entry.valueFrom, `spec.consumer.env[${index}].valueFrom`, add)
  for (const [index, source] of consumer.envFrom.entries()) walk(source, `spec.consumer.envFrom[${index}]`, add)
  for (const [index, volume] of consumer.volumes.entries()) walk(volume, `spec.consumer.volumes[${index}]`, add)
  return [...found.values()]
}

/** Kubernetes calls such fields `secret`, `secretName`, `secretRef`, `secretKeyRef`, `nodePublishSecretRef`, and so on. */
function walk(value: unknown, field: string, add: (name: unknown, field: string) => void): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) walk(item, `${field}[${index}]`, add)
    return
  }
  if (!isRecord(value)) return
  for (const [key, inner] of Object.entries(value)) {
    const path = `${field}.${key}`
    if (/^secretName$/.test(key)) add(inner, path)
    if (/secret/i.test(key) && isRecord(inner)) add(inner['name'], path)
    walk(inner, path, add)
  }
}
