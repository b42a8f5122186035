/** The ServiceAccount of the consumers. They need no access to the API server. */
import type { KubernetesObject } from '../kubernetes/objects.ts'
import { serviceAccountType } from './kinds.ts'

export function serviceAccount(metadata: KubernetesObject['metadata']): KubernetesObject {
  return {
    apiVersion: serviceAccountType.apiVersion,
    kind: serviceAccountType.kind,
    metadata,
    automountServiceAccountToken: false,
  } as KubernetesObject
}
