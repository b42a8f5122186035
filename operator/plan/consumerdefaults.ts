/**
 * Defaults for the consumers of all pipelines, set once at the operator. They have the names and forms of `spec.consumer`. A field that a
 * pipeline states replaces the default, also when it is empty. Maps of labels and annotations are merged by key; `env`, `volumes` and
 * `volumeMounts` by name. The limits of many teams hold for pipelines, not for these defaults: an administrator sets both.
 */
import { failure, StreamPipelineError } from '../../api/errors.ts'
import { standardResources } from '../../api/schema/consumer.ts'
import { apiVersion, type ConsumerSpec, kind } from '../../api/schema/pipeline.ts'
import { parsePipeline } from '../../api/validate.ts'
import { selectorLabels } from './names.ts'

/** Fields of `spec.consumer` that may have a default here. */
export const defaultableFields = [
  'labels',
  'annotations',
  'commonLabels',
  'commonAnnotations',
  'imagePullSecrets',
  'resources',
  'env',
  'volumes',
  'volumeMounts',
  'securityContext',
  'nodeSelector',
  'tolerations',
  'affinity',
  'topologySpreadConstraints',
  'priorityClassName',
] as const satisfies readonly (keyof ConsumerSpec)[]

export type ConsumerDefaults = Pick<ConsumerSpec, (typeof defaultableFields)[number]>

const option = '--consumer-defaults'

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (thrown) {
    throw failure('InvalidOption', { option, detail: `it is no JSON: ${(thrown as SyntaxError).message}` })
  }
}

/**
 * Reads the value of `--consumer-defaults`, a JSON object of these fields.
 * @param text undefined: no defaults
 * @throws InvalidOption that names the wrong field
 */
export function compileConsumerDefaults(text: string | undefined): ConsumerDefaults {
  const given = text === undefined ? {} : parseJson(text)
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw failure('InvalidOption', { option, detail: 'write a JSON object of fields of spec.consumer' })
  const names: readonly string[] = defaultableFields
  const odd = Object.keys(given).find((name) => !names.includes(name))
  if (odd !== undefined) throw failure('InvalidOption', { option, detail: `${odd} has no default; known: ${names.join(', ')}` })
  return parsedDefaults(given)
}

/** The same checks as for a pipeline: these fields in one that is otherwise sound. */
function parsedDefaults(given: object): ConsumerDefaults {
  const spec = {
    redis: { url: 'redis://redis:6379' },
    source: { stream: 'stream', group: 'group' },
    sink: { bullmq: { queue: 'queue' } },
    consumer: given,
  }
  try {
    return parsePipeline({ apiVersion, kind, metadata: { name: 'defaults' }, spec }).spec.consumer
  } catch (thrown) {
    if (!(thrown instanceof StreamPipelineError)) throw thrown
    throw failure('InvalidOption', { option, detail: thrown.message })
  }
}

type Named = Readonly<Record<string, unknown>>

/** The defaults whose key the pipeline's own list does not have, then that list. */
function joined<Item extends Named>(defaults: readonly Item[], own: readonly Item[], key: keyof Item): Item[] {
  return [...defaults.filter((item) => own.every((each) => each[key] !== item[key])), ...own]
}

/** A constraint without a `labelSelector` would spread nothing. It gets the selector of the pipeline's pods. */
const spreading = (constraint: Named, pipeline: string): Named =>
  'labelSelector' in constraint ? constraint : { ...constraint, labelSelector: { matchLabels: selectorLabels(pipeline) } }

export interface DefaultedConsumer extends ConsumerSpec {
  readonly resources: NonNullable<ConsumerSpec['resources']>
}

/**
 * The pipeline's consumer with the defaults filled in.
 * @param stated names of the fields that its author wrote
 */
export function withConsumerDefaults(
  consumer: ConsumerSpec,
  stated: ReadonlySet<string>,
  defaults: ConsumerDefaults | undefined,
  pipeline: string,
): DefaultedConsumer {
  if (defaults === undefined) return { ...consumer, resources: consumer.resources ?? standardResources }
  const chosen = <Name extends keyof ConsumerDefaults>(name: Name) => (stated.has(name) ? consumer[name] : defaults[name])
  return {
    ...consumer,
    labels: { ...defaults.labels, ...consumer.labels },
    annotations: { ...defaults.annotations, ...consumer.annotations },
    commonLabels: { ...defaults.commonLabels, ...consumer.commonLabels },
    commonAnnotations: { ...defaults.commonAnnotations, ...consumer.commonAnnotations },
    env: joined(defaults.env, consumer.env, 'name'),
    volumes: joined(defaults.volumes, consumer.volumes, 'name'),
    volumeMounts: joined(defaults.volumeMounts, consumer.volumeMounts, 'mountPath'),
    imagePullSecrets: chosen('imagePullSecrets'),
    resources: chosen('resources') ?? standardResources,
    securityContext: chosen('securityContext'),
    nodeSelector: chosen('nodeSelector'),
    tolerations: chosen('tolerations'),
    affinity: chosen('affinity'),
    topologySpreadConstraints: stated.has('topologySpreadConstraints')
      ? consumer.topologySpreadConstraints
      : defaults.topologySpreadConstraints.map((constraint) => spreading(constraint, pipeline)),
    priorityClassName: chosen('priorityClassName'),
  }
}
