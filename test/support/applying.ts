/**
 * `kubectl apply --server-side` without its process: one request an object. A process costs a sixth of a second of processor time, and
 * a hundred tests apply objects. Tests of kubectl itself call `ApiServer.kubectl`.
 */
import { parseAllDocuments } from 'yaml'
import type { KubernetesObject } from '../../operator/kubernetes/objects.ts'
import { resourcePath } from '../../operator/kubernetes/objects.ts'
import type { Transport } from '../../operator/kubernetes/transport.ts'

/** Kinds of the cluster; all others are put into `default` where they name no namespace. */
const clusterKinds: ReadonlySet<string> = new Set([
  'APIService',
  'ClusterRole',
  'ClusterRoleBinding',
  'CustomResourceDefinition',
  'Namespace',
  'Node',
  'PersistentVolume',
  'PriorityClass',
  'StorageClass',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
  'ValidatingWebhookConfiguration',
  'MutatingAdmissionPolicy',
  'MutatingAdmissionPolicyBinding',
  'MutatingWebhookConfiguration',
  'RuntimeClass',
])

const pluralOf = (kind: string): string => {
  const lower = kind.toLowerCase()
  if (lower.endsWith('s')) return lower.endsWith('ss') ? `${lower}es` : lower
  return lower.endsWith('y') ? `${lower.slice(0, -1)}ies` : `${lower}s`
}

/** The documents of a text, the items of a List, or the object itself. */
const objectsIn = (source: unknown): KubernetesObject[] => {
  if (typeof source === 'string') return parseAllDocuments(source).flatMap((document) => objectsIn(document.toJS()))
  if (source === null || source === undefined) return []
  const { kind, items } = source as { kind?: string; items?: readonly unknown[] }
  return kind === 'List' ? (items ?? []).flatMap(objectsIn) : [source as KubernetesObject]
}

/** @param source an object, a List, or YAML. Throws the catalogue's Kubernetes… errors. */
export const applyObjects = async (transport: Transport, source: unknown): Promise<void> => {
  for (const object of objectsIn(source)) {
    const { apiVersion = 'v1', kind = '', metadata } = object
    const namespace = clusterKinds.has(kind) ? undefined : (metadata.namespace ?? 'default')
    await transport.request({
      method: 'PATCH',
      path: resourcePath({ apiVersion, kind, plural: pluralOf(kind) }, namespace, metadata.name ?? ''),
      query: { fieldManager: 'kubectl', force: 'true' },
      body: object,
      contentType: 'application/apply-patch+yaml',
    })
  }
}
