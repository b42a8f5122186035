/** Server-side apply: one request, under one field manager. */
import { type KubernetesObject, type ResourceType, resourcePath } from './objects.ts'
import type { Transport } from './transport.ts'

/** One request of an apply: some kinds are created in more than one, under more than one field manager. */
export interface ApplyStage {
  readonly manager: string
  readonly object: KubernetesObject
}

/** `object` must hold every field that `manager` wants to own, and nothing else. */
export async function serverSideApply(
  transport: Transport,
  type: ResourceType,
  object: KubernetesObject,
  manager: string,
  signal: AbortSignal,
  subresource?: string,
): Promise<KubernetesObject> {
  return (await transport.request({
    method: 'PATCH',
    path: resourcePath(type, object.metadata.namespace, object.metadata.name, subresource),
    // Warnings of the server are not read: compatibility.ts checks whether its schema knows our fields.
    query: { fieldManager: manager, force: true, fieldValidation: 'Ignore' },
    contentType: 'application/apply-patch+yaml',
    body: object,
    signal,
  })) as KubernetesObject
}
