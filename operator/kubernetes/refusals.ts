/**
 * Why the API server forbids. RBAC and admission (a quota, a policy) answer with the same code, reason and details; only the
 * prose differs. Whether we hold the right is therefore asked, which every authenticated user may.
 */
import { asFailure, failure, type StreamPipelineError } from '../../api/errors.ts'
import { isFailure } from './errors.ts'
import type { KubernetesObject, ResourceType } from './objects.ts'
import type { Transport } from './transport.ts'

/** `thrown`, or KubernetesRefused where it is Forbidden although RBAC grants what the write of `object` needs. */
export async function explained(
  transport: Transport,
  thrown: unknown,
  type: ResourceType,
  { metadata }: KubernetesObject,
  signal: AbortSignal,
): Promise<StreamPipelineError> {
  const error = asFailure(thrown)
  if (!isFailure(error, 'KubernetesForbidden')) return error
  const detail = error.parameters['detail'] ?? ''
  const [group, namespace, name] = [groupOf(type), metadata.namespace ?? '', metadata.name ?? '']
  try {
    for (const verb of ['patch', 'create']) {
      const resourceAttributes = { group, resource: type.plural, verb, namespace, ...(verb === 'patch' ? { name } : {}) }
      if (!(await isAllowed(transport, resourceAttributes, signal))) return error
    }
  } catch {
    // The question could not be asked: what was said first stands.
    return error
  }
  // On OpenShift an owner reference that blocks deletion takes a right on the owner.
  const owner = metadata.ownerReferences?.find(({ blockOwnerDeletion }) => blockOwnerDeletion === true)
  if (owner !== undefined && !(await mayBlock(transport, namespace, signal))) {
    const needed = 'update of streampipelines/finalizers, which owner references need here, is not granted'
    return failure('KubernetesForbidden', { detail: `${detail} (${needed})` }, error)
  }
  return failure('KubernetesRefused', { operation: `the write of ${type.kind} ${name}`, detail }, error)
}

async function mayBlock(transport: Transport, namespace: string, signal: AbortSignal): Promise<boolean> {
  const attributes = {
    group: 'streampipeline.dev',
    resource: 'streampipelines',
    subresource: 'finalizers',
    verb: 'update',
    namespace,
  }
  try {
    return await isAllowed(transport, attributes, signal)
  } catch {
    // Not known: the quota or policy is the likelier cause.
    return true
  }
}

async function isAllowed(transport: Transport, resourceAttributes: object, signal: AbortSignal): Promise<boolean> {
  const apiVersion = 'authorization.k8s.io/v1'
  const body = { apiVersion, kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
  const path = `/apis/${apiVersion}/selfsubjectaccessreviews`
  const answer = (await transport.request({ method: 'POST', path, body, signal })) as { status?: { allowed?: boolean } }
  return answer.status?.allowed === true
}

function groupOf({ apiVersion }: ResourceType): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
}
