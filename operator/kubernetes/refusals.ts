/**
 * Finds out why the API server forbids a write. RBAC and admission (a quota, a policy) answer with the same code, reason and details;
 * only the prose differs. So the operator asks whether it holds the right, as every authenticated user may. The answer is the same for
 * all objects of a kind in a namespace. It is kept for five seconds, since a status rests on nothing older. A namespace whose writes are
 * refused thus costs a few requests in that time, however many pipelines it has.
 */
import { asFailure, failure, type StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { isFailure } from './errors.ts'
import type { KubernetesObject, ResourceType } from './objects.ts'
import type { Transport } from './transport.ts'

/** `thrown`, or KubernetesRefused where it is Forbidden although RBAC grants what the write of `object` needs. */
export type Explain = (
  thrown: unknown,
  type: ResourceType,
  object: KubernetesObject,
  signal: AbortSignal,
) => Promise<StreamPipelineError>

interface Right {
  readonly group: string
  readonly resource: string
  readonly subresource?: string
  readonly verb: string
  readonly namespace: string
}

interface Answer {
  readonly atMs: number
  readonly allowed: Promise<boolean>
}

const keepMs = 5_000

export function createExplain(transport: Transport, clock: Pick<Clock, 'now'>): Explain {
  const answers = new Map<string, Answer>()

  async function isAllowed(right: Right, signal: AbortSignal): Promise<boolean> {
    const id = JSON.stringify(right)
    const now = clock.now()
    const held = answers.get(id)
    if (held !== undefined && now - held.atMs < keepMs) return await held.allowed
    for (const [old, { atMs }] of answers) if (now - atMs >= keepMs) answers.delete(old)
    const answer = { atMs: now, allowed: ask(transport, right, signal) }
    answers.set(id, answer)
    try {
      return await answer.allowed
    } catch (thrown) {
      if (answers.get(id) === answer) answers.delete(id)
      throw thrown
    }
  }

  /** On OpenShift an owner reference that blocks deletion needs a right on the owner. */
  async function mayBlock(namespace: string, signal: AbortSignal): Promise<boolean> {
    const finalizers = { group: 'streampipeline.dev', resource: 'streampipelines', subresource: 'finalizers' }
    try {
      return await isAllowed({ ...finalizers, verb: 'update', namespace }, signal)
    } catch {
      // Unknown: the quota or policy is the likelier cause.
      return true
    }
  }

  return async (thrown, type, { metadata }, signal) => {
    const error = asFailure(thrown)
    if (!isFailure(error, 'KubernetesForbidden')) return error
    const detail = error.parameters['detail'] ?? ''
    const [namespace, name] = [metadata.namespace ?? '', metadata.name ?? '']
    try {
      for (const verb of ['patch', 'create'])
        if (!(await isAllowed({ group: groupOf(type), resource: type.plural, verb, namespace }, signal))) return error
    } catch {
      // Without an answer the first error stands.
      return error
    }
    const isBlocking = metadata.ownerReferences?.some(({ blockOwnerDeletion }) => blockOwnerDeletion === true) === true
    if (isBlocking && !(await mayBlock(namespace, signal))) {
      const needed = 'update of streampipelines/finalizers, which owner references need here, is not granted'
      return failure('KubernetesForbidden', { detail: `${detail} (${needed})` }, error)
    }
    return failure('KubernetesRefused', { operation: `the write of ${type.kind} ${name}`, detail }, error)
  }
}

async function ask(transport: Transport, resourceAttributes: Right, signal: AbortSignal): Promise<boolean> {
  const apiVersion = 'authorization.k8s.io/v1'
  const body = { apiVersion, kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
  const path = `/apis/${apiVersion}/selfsubjectaccessreviews`
  const answer = (await transport.request({ method: 'POST', path, body, signal })) as { status?: { allowed?: boolean } }
  return answer.status?.allowed === true
}

function groupOf({ apiVersion }: ResourceType): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
}
