/**
 * Decides whether the pipeline's own spec makes the API server refuse the Deployment. Parts of `spec.consumer` are passed on as written.
 * For an unknown field or a repeated name a server-side apply returns an internal error, as for a failing webhook.
 *
 * So a refused Deployment is sent once more, as a dry run of its creation with strict validation, which reports such fields. A bare
 * Deployment of the same name is the control. If that is refused as well, the cause is a policy or the server, not the spec.
 */
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { type KubernetesObject, resourcePath } from './kubernetes/objects.ts'
import type { Transport } from './kubernetes/transport.ts'
import { deploymentType } from './plan/kinds.ts'

/** Returns `error` of a write of `object`, or an error that names the field of the spec to correct. */
type SpecJudge = (error: StreamPipelineError, object: KubernetesObject, signal: AbortSignal) => Promise<StreamPipelineError>

type Json = Readonly<Record<string, unknown>>

interface Answer {
  /** HTTP code of a refusal; undefined: the object would be created. */
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

/** Internal errors, and failed validations. */
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

/** The same object with nothing of `spec.consumer` but the image. */
function bare(object: KubernetesObject): KubernetesObject {
  const { selector, template } = (object as { spec?: Json }).spec as { selector?: { matchLabels?: Json }; template?: Json }
  const [container] = ((template?.['spec'] as Json | undefined)?.['containers'] ?? []) as readonly Json[]
  const pod = { containers: [{ name: container?.['name'], image: container?.['image'] }] }
  return {
    ...object,
    spec: { selector, template: { metadata: { labels: selector?.matchLabels ?? {} }, spec: pod } },
  } as KubernetesObject
}

/** Finds a repeated key in a list. An apply requires each key once; a plain creation accepts some keys twice. */
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
