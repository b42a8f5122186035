/**
 * Whether it is the pipeline's own spec that makes the API server refuse the Deployment. Parts of `spec.consumer` are passed on as
 * written. A field that a pod does not have, or a name that is there twice, comes back from a server-side apply as an internal error,
 * like a webhook that fails. So a Deployment that was refused is asked for once more, as a dry run of its creation with strict
 * validation, which tells of fields in an answer of its own. A bare Deployment of that name is the control: where that is refused
 * alike, it is a policy, or the server, and nothing of the spec.
 */
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { type KubernetesObject, resourcePath } from './kubernetes/objects.ts'
import type { Transport } from './kubernetes/transport.ts'
import { deploymentType } from './plan/kinds.ts'

/** `error` of a write of `object`, or what is to be corrected in the spec. */
export type SpecJudge = (
  error: StreamPipelineError,
  object: KubernetesObject,
  signal: AbortSignal,
) => Promise<StreamPipelineError>

type Json = Readonly<Record<string, unknown>>

interface Answer {
  /** Of HTTP; undefined: it would be made. */
  readonly code: number | undefined
  readonly detail: string
}

export function createSpecJudge(transport: Transport): SpecJudge {
  async function ask(body: KubernetesObject, signal: AbortSignal): Promise<Answer> {
    const path = resourcePath(deploymentType, body.metadata.namespace)
    const query = { dryRun: 'All', fieldValidation: 'Strict', fieldManager: 'streampipeline-check' }
    try {
      await transport.request({ method: 'POST', path, query, body, signal })
      return { code: undefined, detail: '' }
    } catch (thrown) {
      if (signal.aborted) throw thrown
      const error = asFailure(thrown)
      return { code: codeOf(error), detail: error.parameters['detail'] ?? error.message }
    }
  }

  return async (error, object, signal) => {
    const { spec } = object as { spec?: Json }
    if (spec?.['template'] === undefined || !isDoubtful(error)) return error
    const detail = error.parameters['detail'] ?? error.message
    const twice = repeated(object)
    if (twice !== undefined && error.code === 'KubernetesBusy')
      return failure('ConsumerMisspelt', { detail: `${twice}: ${detail}` }, error)
    const answer = await ask(object, signal)
    if (!isRefusal(answer)) return error
    if (isRefusal(await ask(bare(object), signal))) return error
    if (answer.code === 400) return failure('ConsumerMisspelt', { detail: answer.detail }, error)
    const operation = `the write of ${deploymentType.kind} ${object.metadata.name ?? ''}`
    return failure('ConsumerInvalid', { operation, detail: answer.detail }, error)
  }
}

/** Internal errors, and what a validation says. */
function isDoubtful({ code }: StreamPipelineError): boolean {
  return code === 'KubernetesBusy' || code === 'KubernetesRefused'
}

function isRefusal({ code }: Answer): boolean {
  return code === 400 || code === 422
}

function codeOf({ cause }: StreamPipelineError): number {
  const { code } = (typeof cause === 'object' && cause !== null ? cause : {}) as { readonly code?: unknown }
  return typeof code === 'number' ? code : 0
}

/** The same object without anything of `spec.consumer` but the image. */
function bare(object: KubernetesObject): KubernetesObject {
  const { selector, template } = (object as { spec?: Json }).spec as { selector?: { matchLabels?: Json }; template?: Json }
  const [container] = ((template?.['spec'] as Json | undefined)?.['containers'] ?? []) as readonly Json[]
  const pod = { containers: [{ name: container?.['name'], image: container?.['image'] }] }
  return {
    ...object,
    spec: { selector, template: { metadata: { labels: selector?.matchLabels ?? {} }, spec: pod } },
  } as KubernetesObject
}

/** Lists of which the API server wants each key once, when applied; a plain creation takes some of them twice. */
function repeated(object: KubernetesObject): string | undefined {
  const pod = ((object as { spec?: { template?: { spec?: Json } } }).spec?.template?.spec ?? {}) as Json
  const [container = {}] = (pod['containers'] ?? []) as readonly Json[]
  const lists: readonly (readonly [field: string, list: unknown, key: string])[] = [
    ['env', container['env'], 'name'],
    ['volumeMounts', container['volumeMounts'], 'mountPath'],
    ['volumes', pod['volumes'], 'name'],
    ['imagePullSecrets', pod['imagePullSecrets'], 'name'],
  ]
  for (const [field, list, key] of lists) {
    const keys = ((list ?? []) as readonly Json[]).map((item) => item[key])
    const twice = keys.find((value, index) => keys.indexOf(value) !== index)
    if (twice !== undefined) return `${field} has the ${key} ${String(twice)} twice, perhaps once as the operator's own`
  }
  return undefined
}
